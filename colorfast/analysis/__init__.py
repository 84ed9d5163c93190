"""Arms compared: differences, doses, transfer, the paper's claims."""
