{ list = [ "two" ]; }
