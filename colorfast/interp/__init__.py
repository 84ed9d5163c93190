"""What training changed inside the model."""
