"""What is asked of the machine: files that nobody else may read, disks that keep what they confirm, and room on them."""
