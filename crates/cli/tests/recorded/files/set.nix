{
  a = 1;
  b = x: x;
  c.d = 2;
}
