# The licences that packages name most, with their SPDX identifiers.
builtins.mapAttrs
  (shortName: license: {
    inherit shortName;
    inherit (license) spdxId;
    fullName = license.spdxId;
    free = license.free or true;
    url = "https://spdx.org/licenses/${license.spdxId}.html";
  })
  {
    agpl3Only.spdxId = "AGPL-3.0-only";
    agpl3Plus.spdxId = "AGPL-3.0-or-later";
    asl20.spdxId = "Apache-2.0";
    bsd0.spdxId = "0BSD";
    bsd2.spdxId = "BSD-2-Clause";
    bsd3.spdxId = "BSD-3-Clause";
    cc0.spdxId = "CC0-1.0";
    gpl2Only.spdxId = "GPL-2.0-only";
    gpl2Plus.spdxId = "GPL-2.0-or-later";
    gpl3Only.spdxId = "GPL-3.0-only";
    gpl3Plus.spdxId = "GPL-3.0-or-later";
    isc.spdxId = "ISC";
    lgpl21Only.spdxId = "LGPL-2.1-only";
    lgpl21Plus.spdxId = "LGPL-2.1-or-later";
    lgpl3Only.spdxId = "LGPL-3.0-only";
    lgpl3Plus.spdxId = "LGPL-3.0-or-later";
    mit.spdxId = "MIT";
    mpl20.spdxId = "MPL-2.0";
    publicDomain.spdxId = "LicenseRef-public-domain";
    unlicense.spdxId = "Unlicense";
    unfree = {
      spdxId = "LicenseRef-unfree";
      free = false;
    };
    zlib.spdxId = "Zlib";
  }
