"""`aiq doctor`: the set-up looked at piece by piece. It sends no order, writes no file and shows no key."""
