"""What every report shares: sections, figure style, page writer."""
