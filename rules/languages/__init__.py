"""The languages in which reasons are told, and the words that all kinds of condition share."""
