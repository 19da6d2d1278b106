"""What runs: libaom with the hook, labelling, the stage-008 pipeline and real encodes."""
