"""What plug-ins are written with, and what all others stand on."""
