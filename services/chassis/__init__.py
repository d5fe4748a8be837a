"""What every service needs and none owns. It knows no business noun and imports no service."""
