"""What a record set holds: views, examples, their bytes, and the manifest."""
