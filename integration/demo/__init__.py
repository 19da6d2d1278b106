"""The demo: the whole main job on the embedded data set, step by step."""
