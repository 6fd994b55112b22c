{ list = [ "one" ]; imports = [ { list = [ "below one" ]; } ]; }
