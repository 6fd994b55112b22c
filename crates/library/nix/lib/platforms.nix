# Systems by kind.
rec {
  linux = [
    "aarch64-linux"
    "armv6l-linux"
    "armv7l-linux"
    "i686-linux"
    "loongarch64-linux"
    "powerpc64le-linux"
    "riscv64-linux"
    "s390x-linux"
    "x86_64-linux"
  ];
  darwin = [
    "aarch64-darwin"
    "x86_64-darwin"
  ];
  freebsd = [ "x86_64-freebsd" ];
  unix = linux ++ darwin ++ freebsd;
  all = unix;
  none = [ ];
  x86_64 = [
    "x86_64-linux"
    "x86_64-darwin"
    "x86_64-freebsd"
  ];
  aarch64 = [
    "aarch64-linux"
    "aarch64-darwin"
  ];
}
