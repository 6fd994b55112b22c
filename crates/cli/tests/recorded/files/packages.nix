{
  system ? "s",
  n ? 1,
}:
{
  d = derivation {
    name = "d${toString n}";
    inherit system;
    builder = "b";
  };
  l = [
    (derivation {
      name = "e";
      inherit system;
      builder = "b";
    })
  ];
}
