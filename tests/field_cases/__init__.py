"""What shops really send: fifteen small inputs after public reports, each with the memberships that are right."""
