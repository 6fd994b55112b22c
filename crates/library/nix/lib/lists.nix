# Lists.
{ lib }:
let
  inherit (builtins)
    all
    any
    concatLists
    concatMap
    elem
    elemAt
    filter
    foldl'
    genList
    head
    isList
    length
    sort
    tail
    ;
in
rec {
  inherit (builtins)
    all
    any
    concatLists
    concatMap
    elem
    elemAt
    filter
    foldl'
    genList
    groupBy
    head
    isList
    length
    map
    partition
    sort
    tail
    ;

  singleton = x: [ x ];
  forEach = xs: f: map f xs;

  foldr =
    op: nul: list:
    let
      len = length list;
      go = n: if n == len then nul else op (elemAt list n) (go (n + 1));
    in
    go 0;
  fold = foldr;
  foldl =
    op: nul: list:
    let
      go = n: if n == -1 then nul else op (go (n - 1)) (elemAt list n);
    in
    go (length list - 1);

  imap0 = f: list: genList (n: f n (elemAt list n)) (length list);
  imap1 = f: list: genList (n: f (n + 1) (elemAt list n)) (length list);
  ifilter0 =
    pred: list:
    map (elemAt list) (filter (n: pred n (elemAt list n)) (genList (n: n) (length list)));

  flatten = x: if isList x then concatMap flatten x else [ x ];
  remove = x: filter (y: y != x);

  findSingle =
    pred: default: multiple: list:
    let
      found = filter pred list;
    in
    if found == [ ] then
      default
    else if length found == 1 then
      head found
    else
      multiple;
  findFirstIndex =
    pred: default: list:
    let
      len = length list;
      go =
        n:
        if n == len then
          default
        else if pred (elemAt list n) then
          n
        else
          go (n + 1);
    in
    go 0;
  findFirst =
    pred: default: list:
    let
      index = findFirstIndex pred null list;
    in
    if index == null then default else elemAt list index;

  count = pred: foldl' (n: x: if pred x then n + 1 else n) 0;
  optional = condition: x: if condition then [ x ] else [ ];
  optionals = condition: xs: if condition then xs else [ ];
  toList = x: if isList x then x else [ x ];
  range = first: last: if first > last then [ ] else genList (n: first + n) (last - first + 1);
  replicate = n: x: genList (_: x) n;

  groupBy' =
    op: nul: pred: list:
    builtins.mapAttrs (_: foldl' op nul) (builtins.groupBy pred list);

  zipListsWith =
    f: a: b:
    genList (n: f (elemAt a n) (elemAt b n)) (lib.min (length a) (length b));
  zipLists = zipListsWith (fst: snd: { inherit fst snd; });

  reverseList =
    list:
    let
      len = length list;
    in
    genList (n: elemAt list (len - n - 1)) len;

  listDfs =
    stopOnCycles: before: list:
    let
      go =
        us: visited: rest:
        let
          split = builtins.partition (x: before x us) visited;
          deeper = builtins.partition (x: before x us) rest;
        in
        if stopOnCycles && split.right != [ ] then
          {
            cycle = us;
            loops = split.right;
            inherit visited rest;
          }
        else if deeper.right == [ ] then
          {
            minimal = us;
            inherit visited rest;
          }
        else
          go (head deeper.right) ([ us ] ++ visited) (tail deeper.right ++ deeper.wrong);
    in
    go (head list) [ ] (tail list);

  toposort =
    before: list:
    let
      found = listDfs true before list;
      rest = toposort before (found.visited ++ found.rest);
    in
    if length list < 2 then
      { result = list; }
    else if found ? cycle then
      {
        cycle = reverseList ([ found.cycle ] ++ found.visited);
        inherit (found) loops;
      }
    else if rest ? cycle then
      rest
    else
      { result = [ found.minimal ] ++ rest.result; };

  sortOn =
    f: list:
    map (pair: elemAt pair 1) (
      sort (a: b: head a < head b) (
        map (x: [
          (f x)
          x
        ]) list
      )
    );

  compareLists =
    cmp: a: b:
    if a == [ ] then
      if b == [ ] then 0 else -1
    else if b == [ ] then
      1
    else
      let
        order = cmp (head a) (head b);
      in
      if order == 0 then compareLists cmp (tail a) (tail b) else order;

  naturalSort =
    list:
    let
      parts = s: map (p: if isList p then lib.toInt (head p) else p) (builtins.split "(0|[1-9][0-9]*)" s);
      keyed = map (x: [
        (parts x)
        x
      ]) list;
    in
    map (pair: elemAt pair 1) (sort (a: b: compareLists lib.compare (head a) (head b) < 0) keyed);

  sublist =
    start: count: list:
    let
      len = length list;
      n =
        if start >= len then
          0
        else if start + count > len then
          len - start
        else
          count;
    in
    genList (i: elemAt list (i + start)) n;
  take = count: sublist 0 count;
  takeEnd = n: list: drop (lib.max 0 (length list - n)) list;
  drop = count: list: sublist count (length list) list;
  dropEnd = n: list: take (lib.max 0 (length list - n)) list;
  last =
    list:
    if list == [ ] then throw "lists.last: list must not be empty!" else elemAt list (length list - 1);
  init =
    list:
    if list == [ ] then throw "lists.init: list must not be empty!" else take (length list - 1) list;

  hasPrefix = a: b: take (length a) b == a;
  removePrefix =
    a: b: if hasPrefix a b then drop (length a) b else throw "lists.removePrefix: the first list isn't a prefix of the second";
  commonPrefix =
    a: b:
    let
      differs = findFirstIndex (n: elemAt a n != elemAt b n) null (range 0 (lib.min (length a) (length b) - 1));
    in
    if differs == null then take (lib.min (length a) (length b)) a else take differs a;

  crossLists = f: foldl (fs: args: concatMap (f: map f args) fs) [ f ];
  unique = foldl' (seen: x: if elem x seen then seen else seen ++ [ x ]) [ ];
  uniqueStrings = list: builtins.attrNames (builtins.groupBy (x: x) list);
  allUnique = list: length (unique list) == length list;
  intersectLists = a: filter (x: elem x a);
  subtractLists = a: filter (x: !elem x a);
  mutuallyExclusive = a: b: length a == 0 || !any (x: elem x a) b;
  concatAttrValues = set: concatLists (builtins.attrValues set);
  replaceElemAt =
    list: index: x:
    if index < 0 || index >= length list then
      throw "lists.replaceElemAt: index ${toString index} is outside of a list of ${toString (length list)}"
    else
      imap0 (i: old: if i == index then x else old) list;
}
