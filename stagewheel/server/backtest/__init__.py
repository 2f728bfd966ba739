"""Back-testing: a recorded history run under a ruleset in virtual time, counted and compared."""
