"""From a trained segmentor to label maps, and to models."""
