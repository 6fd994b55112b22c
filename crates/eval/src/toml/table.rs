//! Tables while a document is read: what may still be added to which (`insert_value` of toml11 4.4).

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;

use super::problem::Problem;
use super::{Parsed, Toml};

/// How a table came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// By `[a.b]`: for `a`, which may still have its own header.
    Implied,
    /// By its own header.
    Header,
    /// By a dotted key: only dotted keys of the same section may add to it.
    Dotted,
    /// In braces.
    Inline,
}

#[derive(Debug)]
pub(super) struct Table {
    entries: BTreeMap<String, Node>,
    kind: Kind,
    /// The header or key that made it.
    place: Range<usize>,
}

#[derive(Debug)]
pub(super) enum Node {
    /// Complete, arrays and inline tables too.
    Value(Toml, Range<usize>),
    Table(Table),
    /// By `[[a]]`.
    Tables(Vec<Table>, Range<usize>),
}

impl Node {
    pub(super) fn into_toml(self) -> Toml {
        match self {
            Node::Value(value, _) => value,
            Node::Table(table) => Toml::Table(table.into_toml()),
            Node::Tables(tables, _) => {
                Toml::Array(tables.into_iter().map(|table| Toml::Table(table.into_toml())).collect())
            }
        }
    }

    fn place(&self) -> Range<usize> {
        match self {
            Node::Value(_, place) | Node::Tables(_, place) => place.clone(),
            Node::Table(table) => table.place.clone(),
        }
    }

    /// Whether it is an array with nothing but tables.
    fn is_inline_tables(&self) -> bool {
        let Node::Value(Toml::Array(values), _) = self else { return false };
        !values.is_empty() && values.iter().all(|value| matches!(value, Toml::Table(_)))
    }
}

impl Table {
    pub(super) fn new(kind: Kind, place: Range<usize>) -> Self {
        Table { entries: BTreeMap::new(), kind, place }
    }

    pub(super) fn into_toml(self) -> BTreeMap<String, Toml> {
        self.entries.into_iter().map(|(key, node)| (key, node.into_toml())).collect()
    }

    /// `[path]`: the table that it opens.
    pub(super) fn open_header(&mut self, path: &[String], place: Range<usize>) -> Parsed<&mut Table> {
        let (key, parents) = path.split_last().expect("a key has a part");
        let entry = self.parents(parents, Kind::Implied, &place)?.entries.entry(key.clone());
        let fresh = || Node::Table(Table::new(Kind::Implied, place.clone()));
        let node = entry.or_insert_with(fresh);
        let defined = node.place();
        if let Node::Table(table) = node
            && table.kind == Kind::Implied
        {
            table.kind = Kind::Header;
            table.place = place;
            return Ok(table);
        }
        let title = "toml::insert_value: failed to insert a table, table already defined";
        let problem = Problem::new(title, place, "inserting this");
        Err(Box::new(problem.and(defined, "this table is explicitly defined")))
    }

    /// `[[path]]`: the table that it adds.
    pub(super) fn add_to_array(&mut self, path: &[String], place: Range<usize>) -> Parsed<&mut Table> {
        let (key, parents) = path.split_last().expect("a key has a part");
        let entry = self.parents(parents, Kind::Implied, &place)?.entries.entry(key.clone());
        let node = entry.or_insert_with(|| Node::Tables(Vec::new(), place.clone()));
        let inline = node.is_inline_tables();
        match node {
            Node::Tables(tables, _) => {
                tables.push(Table::new(Kind::Header, place));
                Ok(tables.last_mut().expect("one was just added"))
            }
            other if inline => {
                let title =
                    "toml::insert_value: failed to insert a table, inline array of tables is immutable";
                let problem = Problem::new(title, place, "while inserting this");
                Err(Box::new(problem.and(other.place(), "this is inline array-of-tables")))
            }
            other => {
                let title = "toml::insert_value: failed to insert an array of tables, value already exists";
                let problem = Problem::new(title, place, "while inserting this");
                Err(Box::new(problem.and(other.place(), "non-table value already exists")))
            }
        }
    }

    /// `path = value`
    pub(super) fn insert(&mut self, path: &[String], place: Range<usize>, value: Node) -> Parsed<()> {
        let (key, parents) = path.split_last().expect("a key has a part");
        match self.parents(parents, Kind::Dotted, &place)?.entries.entry(key.clone()) {
            Entry::Vacant(vacant) => {
                vacant.insert(value);
                Ok(())
            }
            Entry::Occupied(occupied) => {
                let title = "toml::insert_value: failed to insert a value, value already exists";
                let problem = Problem::new(title, place, "inserting this");
                Err(Box::new(problem.and(occupied.get().place(), "but value already exists")))
            }
        }
    }

    /// The table at the end of a path; those that are missing are made, of a kind.
    fn parents(&mut self, path: &[String], kind: Kind, place: &Range<usize>) -> Parsed<&mut Table> {
        let mut table = self;
        for key in path {
            let fresh = || Node::Table(Table::new(kind, place.clone()));
            let node = table.entries.entry(key.clone()).or_insert_with(fresh);
            if let Some((title, here, there)) = cannot_hold_more(node, kind) {
                return Err(Box::new(Problem::new(title, place.clone(), here).and(node.place(), there)));
            }
            table = match node {
                Node::Table(table) => table,
                Node::Tables(tables, _) => tables.last_mut().expect("it has one from its first header"),
                Node::Value(..) => unreachable!("values hold no more"),
            };
        }
        Ok(table)
    }
}

/// Why nothing can be added to this: a title and two remarks.
fn cannot_hold_more(node: &Node, kind: Kind) -> Option<(&'static str, &'static str, &'static str)> {
    let by_key = kind == Kind::Dotted;
    Some(match node {
        Node::Value(Toml::Table(_), _) => (
            "toml::insert_value: failed to insert a value: inline table is immutable",
            "inserting this",
            "to this table",
        ),
        Node::Table(table) if by_key && table.kind != Kind::Dotted => (
            "toml::insert_value: reopening a table using dotted keys",
            "dotted key cannot reopen a table",
            "this table is already closed",
        ),
        Node::Tables(..) if by_key => (
            "toml::insert_value:dotted key cannot reopen an array-of-tables",
            "inserting this",
            "to this array-of-tables.",
        ),
        Node::Table(_) | Node::Tables(..) => return None,
        Node::Value(..) if node.is_inline_tables() => (
            "toml::insert_value:inline array of tables are immutable",
            "inserting this",
            "inline array of tables",
        ),
        Node::Value(..) => (
            "toml::insert_value: failed to insert a value, value already exists",
            "while inserting this",
            "non-table value already exists",
        ),
    })
}
