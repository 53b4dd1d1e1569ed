"""What a run comes to, as data: nothing is made here."""
