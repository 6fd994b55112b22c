//! An LALR(1) automaton with default reductions, built from a grammar the way Bison builds it.
//!
//! It exists for messages alone: which tokens a message lists depends on the states of the reference's
//! generated parser. It is built when a text has failed to parse, which takes a few milliseconds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Terminals come first, in their numbering; nonterminals follow.
type Sym = usize;

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) head: Sym,
    pub(crate) body: Vec<Sym>,
    /// The terminal whose precedence the rule has.
    pub(crate) precedence: Option<Sym>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Left,
    Right,
    None,
}

pub(crate) struct Grammar {
    pub(crate) terminals: usize,
    pub(crate) symbols: usize,
    /// The first rule is `accept: start end`.
    pub(crate) rules: Vec<Rule>,
    pub(crate) precedence: HashMap<Sym, (u8, Side)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    Shift(usize),
    Reduce(usize),
    /// Forbidden by `%nonassoc` although a default reduction exists.
    Error,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) actions: BTreeMap<Sym, Action>,
    pub(crate) default: Option<usize>,
    pub(crate) gotos: HashMap<Sym, usize>,
}

/// A rule and how much of its body has been read.
type Item = (usize, usize);

struct Builder<'g> {
    grammar: &'g Grammar,
    by_head: Vec<Vec<usize>>,
    nullable: Vec<bool>,
    first: Vec<BTreeSet<Sym>>,
}

pub(crate) fn states(grammar: &Grammar) -> Vec<State> {
    let builder = Builder::new(grammar);
    let (kernels, gotos) = builder.kernels();
    let lookaheads = builder.lookaheads(&kernels, &gotos);
    kernels
        .iter()
        .zip(gotos)
        .enumerate()
        .map(|(number, (kernel, gotos))| {
            let items = kernel.iter().map(|item| (*item, lookaheads[&(number, *item)].clone()));
            builder.state(builder.closure(items.collect()), &gotos)
        })
        .collect()
}

impl<'g> Builder<'g> {
    fn new(grammar: &'g Grammar) -> Builder<'g> {
        let mut by_head = vec![Vec::new(); grammar.symbols];
        for (number, rule) in grammar.rules.iter().enumerate() {
            by_head[rule.head].push(number);
        }
        let mut nullable = vec![false; grammar.symbols];
        let mut first: Vec<BTreeSet<Sym>> = (0..grammar.symbols)
            .map(|symbol| BTreeSet::from_iter((symbol < grammar.terminals).then_some(symbol)))
            .collect();
        let mut changed = true;
        while changed {
            changed = false;
            for rule in &grammar.rules {
                let mut all_nullable = true;
                for symbol in &rule.body {
                    let before = first[rule.head].len();
                    let added = first[*symbol].clone();
                    first[rule.head].extend(added);
                    changed |= first[rule.head].len() != before;
                    if !nullable[*symbol] {
                        all_nullable = false;
                        break;
                    }
                }
                if all_nullable && !nullable[rule.head] {
                    nullable[rule.head] = true;
                    changed = true;
                }
            }
        }
        Builder { grammar, by_head, nullable, first }
    }

    fn next(&self, item: Item) -> Option<Sym> {
        self.grammar.rules[item.0].body.get(item.1).copied()
    }

    /// All items that stand open with these, each with the tokens that may follow its rule.
    fn closure(&self, kernel: BTreeMap<Item, BTreeSet<Sym>>) -> BTreeMap<Item, BTreeSet<Sym>> {
        let mut items = kernel;
        let mut work: Vec<Item> = items.keys().copied().collect();
        while let Some(item) = work.pop() {
            let Some(symbol) = self.next(item).filter(|symbol| *symbol >= self.grammar.terminals) else {
                continue;
            };
            let mut follow = BTreeSet::new();
            let rest = &self.grammar.rules[item.0].body[item.1 + 1..];
            for symbol in rest {
                follow.extend(&self.first[*symbol]);
                if !self.nullable[*symbol] {
                    break;
                }
            }
            if rest.iter().all(|symbol| self.nullable[*symbol]) {
                follow.extend(&items[&item]);
            }
            for rule in &self.by_head[symbol] {
                let new = (*rule, 0);
                let known = items.contains_key(&new);
                let entry = items.entry(new).or_default();
                let before = entry.len();
                entry.extend(&follow);
                if !known || entry.len() != before {
                    work.push(new);
                }
            }
        }
        items
    }

    /// The states without lookahead: their kernels and the ways between them.
    fn kernels(&self) -> (Vec<BTreeSet<Item>>, Vec<HashMap<Sym, usize>>) {
        let mut kernels = vec![BTreeSet::from([(0, 0)])];
        let mut numbers = HashMap::from([(kernels[0].clone(), 0)]);
        let mut gotos = Vec::new();
        while gotos.len() < kernels.len() {
            let kernel = &kernels[gotos.len()];
            let mut targets: BTreeMap<Sym, BTreeSet<Item>> = BTreeMap::new();
            for item in self.closure(kernel.iter().map(|item| (*item, BTreeSet::new())).collect()).keys() {
                if let Some(symbol) = self.next(*item) {
                    targets.entry(symbol).or_default().insert((item.0, item.1 + 1));
                }
            }
            let mut map = HashMap::new();
            for (symbol, target) in targets {
                let number = *numbers.entry(target.clone()).or_insert_with(|| {
                    kernels.push(target);
                    kernels.len() - 1
                });
                map.insert(symbol, number);
            }
            gotos.push(map);
        }
        (kernels, gotos)
    }

    /// The tokens that may follow each kernel item, spread from state to state until nothing changes.
    fn lookaheads(
        &self,
        kernels: &[BTreeSet<Item>],
        gotos: &[HashMap<Sym, usize>],
    ) -> HashMap<(usize, Item), BTreeSet<Sym>> {
        let mut known: HashMap<(usize, Item), BTreeSet<Sym>> = HashMap::new();
        for (number, kernel) in kernels.iter().enumerate() {
            known.extend(kernel.iter().map(|item| ((number, *item), BTreeSet::new())));
        }
        let mut work = vec![0];
        let mut seen = vec![false; kernels.len()];
        while let Some(number) = work.pop() {
            seen[number] = true;
            let kernel = kernels[number].iter().map(|item| (*item, known[&(number, *item)].clone()));
            for (item, follow) in self.closure(kernel.collect()) {
                let Some(symbol) = self.next(item) else { continue };
                let target = gotos[number][&symbol];
                let entry = known.entry((target, (item.0, item.1 + 1))).or_default();
                let before = entry.len();
                entry.extend(follow);
                if (entry.len() != before || !seen[target]) && !work.contains(&target) {
                    work.push(target);
                }
            }
        }
        known
    }

    fn state(&self, items: BTreeMap<Item, BTreeSet<Sym>>, gotos: &HashMap<Sym, usize>) -> State {
        let mut state = State::default();
        for (symbol, target) in gotos {
            if *symbol < self.grammar.terminals {
                state.actions.insert(*symbol, Action::Shift(*target));
            } else {
                state.gotos.insert(*symbol, *target);
            }
        }
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for (item, follow) in items {
            if self.next(item).is_some() {
                continue;
            }
            let rule = item.0;
            counts.entry(rule).or_default();
            for token in follow {
                match state.actions.get(&token) {
                    Some(Action::Shift(_)) => match self.resolve(rule, token) {
                        Some(action) => drop(state.actions.insert(token, action)),
                        None => continue,
                    },
                    // The earlier rule wins, as in Bison; this grammar has no such conflict.
                    Some(_) => continue,
                    None => drop(state.actions.insert(token, Action::Reduce(rule))),
                }
                if state.actions[&token] == Action::Reduce(rule) {
                    *counts.entry(rule).or_default() += 1;
                }
            }
        }
        let only = counts.len() == 1 && gotos.is_empty();
        let mut most = 0;
        for (rule, count) in counts {
            if only || count > most {
                most = count;
                state.default = Some(rule);
            }
        }
        let default = state.default;
        state.actions.retain(|_, action| match *action {
            Action::Shift(_) => true,
            Action::Reduce(rule) => default != Some(rule),
            Action::Error => default.is_some(),
        });
        state
    }

    /// What to do instead of a shift, by precedence.
    fn resolve(&self, rule: usize, token: Sym) -> Option<Action> {
        let (rule_level, _) = *self.grammar.precedence.get(&self.grammar.rules[rule].precedence?)?;
        let (level, side) = *self.grammar.precedence.get(&token)?;
        match rule_level.cmp(&level) {
            std::cmp::Ordering::Greater => Some(Action::Reduce(rule)),
            std::cmp::Ordering::Less => None,
            std::cmp::Ordering::Equal => match side {
                Side::Left => Some(Action::Reduce(rule)),
                Side::Right => None,
                Side::None => Some(Action::Error),
            },
        }
    }
}
