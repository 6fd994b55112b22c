{
  /**
    Adds two numbers.

        add 1 2
  */
  add = x: y: x + y;

  curried =
    /**
      The outer one.
    */
    x:
    /** The inner one. */
    y: x;

  plain = x: x;

  /** Three. */
  nested.number = 3;
  nested.nothing = 4;

  call = {
    /** Calls nothing. */
    __functor = self: x: x;
  };
}
