"""Tables made anew beside those that are there, and put in their place in one commit each."""
