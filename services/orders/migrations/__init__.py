"""The history of the orders database's schema."""
