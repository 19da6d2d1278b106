"""Training one stage: its options, losses, schedule, epochs and run folder, and the choice of the best epoch."""
