"""Losses as pure functions: the mean over a replica's minibatch, knowing no network."""
