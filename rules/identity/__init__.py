"""Identity resolution: the ids of one person, links between them, and the profiles that move over links."""
