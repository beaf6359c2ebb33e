"""The door for the Secrets Store CSI driver: what a Mount asks, and its answer."""
