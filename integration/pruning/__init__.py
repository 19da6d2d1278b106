"""Pruners as files: the sealed folder, its making and its proof."""
