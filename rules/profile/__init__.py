"""The data of each kind of fact in a customer's profile, and the functions that keep it within its bounds."""
