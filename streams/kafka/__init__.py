"""Everything that talks to Kafka: clients, topics, fetches, and the publisher."""
