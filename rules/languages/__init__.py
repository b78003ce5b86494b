"""The languages in which a reason is a sentence, and the words that all kinds of condition share."""
