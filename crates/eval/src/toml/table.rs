//! Tables while a document is read: what may still be added to which.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

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
}

#[derive(Debug)]
pub(super) struct Table {
    entries: BTreeMap<String, Node>,
    kind: Kind,
}

#[derive(Debug)]
pub(super) enum Node {
    /// Complete, arrays and inline tables too.
    Value(Toml),
    Table(Table),
    /// By `[[a]]`.
    Tables(Vec<Table>),
}

impl Node {
    pub(super) fn into_toml(self) -> Toml {
        match self {
            Node::Value(value) => value,
            Node::Table(table) => Toml::Table(table.into_toml()),
            Node::Tables(tables) => {
                Toml::Array(tables.into_iter().map(|table| Toml::Table(table.into_toml())).collect())
            }
        }
    }
}

impl Table {
    pub(super) fn new(kind: Kind) -> Self {
        Table { entries: BTreeMap::new(), kind }
    }

    pub(super) fn into_toml(self) -> BTreeMap<String, Toml> {
        self.entries.into_iter().map(|(key, node)| (key, node.into_toml())).collect()
    }

    /// The table that the last header for `path` opened.
    pub(super) fn section(&mut self, path: &[String]) -> &mut Table {
        path.iter().fold(self, |table, key| match table.entries.get_mut(key) {
            Some(Node::Table(table)) => table,
            Some(Node::Tables(tables)) => tables.last_mut().expect("it has one from its first header"),
            _ => unreachable!("the header has made it a table"),
        })
    }

    /// `[path]`
    pub(super) fn open_header(&mut self, path: &[String]) -> Parsed<()> {
        let (key, parents) = path.split_last().expect("a key has a part");
        match self.open_parents(parents)?.entries.entry(key.clone()) {
            Entry::Vacant(place) => {
                place.insert(Node::Table(Table::new(Kind::Header)));
                Ok(())
            }
            Entry::Occupied(mut place) => match place.get_mut() {
                Node::Table(table) if table.kind == Kind::Implied => {
                    table.kind = Kind::Header;
                    Ok(())
                }
                _ => Err(format!("`{}` is defined already", path.join("."))),
            },
        }
    }

    /// `[[path]]`
    pub(super) fn add_to_array(&mut self, path: &[String]) -> Parsed<()> {
        let (key, parents) = path.split_last().expect("a key has a part");
        let fresh = Table::new(Kind::Header);
        match self.open_parents(parents)?.entries.entry(key.clone()) {
            Entry::Vacant(place) => {
                place.insert(Node::Tables(vec![fresh]));
                Ok(())
            }
            Entry::Occupied(mut place) => match place.get_mut() {
                Node::Tables(tables) => {
                    tables.push(fresh);
                    Ok(())
                }
                _ => Err(format!("`{}` is defined already, and not by `[[…]]`", path.join("."))),
            },
        }
    }

    fn open_parents(&mut self, path: &[String]) -> Parsed<&mut Table> {
        let mut table = self;
        for key in path {
            let implied = || Node::Table(Table::new(Kind::Implied));
            table = match table.entries.entry(key.clone()).or_insert_with(implied) {
                Node::Table(table) => table,
                Node::Tables(tables) => tables.last_mut().expect("it has one from its first header"),
                Node::Value(_) => {
                    return Err(format!("`{key}` is a value, nothing can be added to it"));
                }
            };
        }
        Ok(table)
    }

    /// `path = value`
    pub(super) fn insert(&mut self, path: &[String], value: Node) -> Parsed<()> {
        let (key, parents) = path.split_last().expect("a key has a part");
        let mut table = self;
        for parent in parents {
            let dotted = || Node::Table(Table::new(Kind::Dotted));
            table = match table.entries.entry(parent.clone()).or_insert_with(dotted) {
                Node::Table(table) if table.kind == Kind::Dotted => table,
                _ => return Err(format!("`{parent}` can't be added to by a dotted key")),
            };
        }
        match table.entries.entry(key.clone()) {
            Entry::Vacant(place) => {
                place.insert(value);
                Ok(())
            }
            Entry::Occupied(_) => Err(format!("`{}` is defined already", path.join("."))),
        }
    }
}
