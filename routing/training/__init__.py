"""Trains classifiers from labelled prompts. The live router never imports this: it only scores."""
