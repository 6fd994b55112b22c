# Assertions with a message.
{ lib }:
rec {
  assertMsg = condition: message: condition || throw message;
  assertOneOf =
    name: value: choices:
    assertMsg (builtins.elem value choices)
      "${name} must be one of ${lib.generators.toPretty { multiline = false; } choices}, but is: ${lib.generators.toPretty { multiline = false; } value}";
  assertEachOneOf =
    name: values: choices:
    assertMsg (builtins.all (v: builtins.elem v choices) values)
      "each element in ${name} must be one of ${lib.generators.toPretty { multiline = false; } choices}, but is: ${lib.generators.toPretty { multiline = false; } values}";
}
