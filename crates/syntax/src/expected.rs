//! The text of syntax errors: what was found and, if there are at most four, which tokens would have
//! fitted, as the reference's generated parser says it.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::lalr::{Action, Grammar, Rule, Side, State, states};
use crate::lexer::{Lexer, Token};
use crate::{Code, Diagnostic, ParseOptions, Source};

/// How messages call the tokens, in the order in which they list them. Those without a [`Token`] are never
/// read, but stand in rules.
const TERMINALS: &[(&str, &str)] = &[
    ("End", "end of file"),
    ("Invalid", "invalid token"),
    ("Identifier", "identifier"),
    ("String", "string"),
    ("IndentedString", "indented string"),
    ("Integer", "integer"),
    ("Float", "floating-point literal"),
    ("Path", "path"),
    ("HomePath", "'~/…' path"),
    ("SearchPath", "'<…>' path"),
    ("PathEnd", "end of path"),
    ("Uri", "URI"),
    ("If", "'if'"),
    ("Then", "'then'"),
    ("Else", "'else'"),
    ("Assert", "'assert'"),
    ("With", "'with'"),
    ("Let", "'let'"),
    ("In", "'in'"),
    ("Rec", "'rec'"),
    ("Inherit", "'inherit'"),
    ("Equal", "'=='"),
    ("NotEqual", "'!='"),
    ("LessOrEqual", "'<='"),
    ("GreaterOrEqual", "'>='"),
    ("Update", "'//'"),
    ("Concat", "'++'"),
    ("And", "'&&'"),
    ("OrOr", "'||'"),
    ("Implies", "'->'"),
    ("Or", "'or'"),
    ("PipeFrom", "'<|'"),
    ("PipeInto", "'|>'"),
    ("DollarBrace", "'${'"),
    ("IndentedOpen", "start of an indented string"),
    ("IndentedClose", "end of an indented string"),
    ("Ellipsis", "'...'"),
    ("Bindings", "start of REPL bindings"),
    ("Less", "'<'"),
    ("Greater", "'>'"),
    ("NotPrefix", "NOT"),
    ("Plus", "'+'"),
    ("Minus", "'-'"),
    ("Star", "'*'"),
    ("Slash", "'/'"),
    ("Question", "'?'"),
    ("NegatePrefix", "NEGATE"),
    ("Colon", "':'"),
    ("At", "'@'"),
    ("Semicolon", "';'"),
    ("Not", "'!'"),
    ("Dot", "'.'"),
    ("Quote", "'\"'"),
    ("ParenOpen", "'('"),
    ("ParenClose", "')'"),
    ("BraceOpen", "'{'"),
    ("BraceClose", "'}'"),
    ("BracketOpen", "'['"),
    ("BracketClose", "']'"),
    ("Assign", "'='"),
    ("Comma", "','"),
];

const LEVELS: &[(Side, &[&str])] = &[
    (Side::Right, &["Implies"]),
    (Side::Left, &["OrOr"]),
    (Side::Left, &["And"]),
    (Side::None, &["Equal", "NotEqual"]),
    (Side::None, &["Less", "Greater", "LessOrEqual", "GreaterOrEqual"]),
    (Side::Right, &["Update"]),
    (Side::Left, &["NotPrefix"]),
    (Side::Left, &["Plus", "Minus"]),
    (Side::Left, &["Star", "Slash"]),
    (Side::Right, &["Concat"]),
    (Side::None, &["Question"]),
    (Side::None, &["NegatePrefix"]),
];

/// The language's grammar, with the productions in the shape and order that decide the states of the
/// reference's parser (`parser.y`, 2.34). `%name` gives a production another precedence.
const GRAMMAR: &str = "
accept: file End
file: whole | Bindings some
whole: function
function: Identifier Colon function
  | arguments Colon function
  | arguments At Identifier Colon function
  | Identifier At arguments Colon function
  | Assert whole Semicolon function
  | With whole Semicolon function
  | Let any In function
  | choice
choice: If whole Then whole Else whole | from | into | operation
from: operation PipeFrom from | operation PipeFrom operation
into: into PipeInto operation | operation PipeInto operation
operation: Not operation %NotPrefix
  | Minus operation %NegatePrefix
  | operation Equal operation
  | operation NotEqual operation
  | operation Less operation
  | operation LessOrEqual operation
  | operation Greater operation
  | operation GreaterOrEqual operation
  | operation And operation
  | operation OrOr operation
  | operation Implies operation
  | operation Update operation
  | operation Question names
  | operation Plus operation
  | operation Minus operation
  | operation Star operation
  | operation Slash operation
  | operation Concat operation
  | application
application: application selection | selection
selection: simple Dot names | simple Dot names Or selection | simple Or | simple
simple: Identifier
  | Integer
  | Float
  | Quote text Quote
  | IndentedOpen pieces IndentedClose
  | path PathEnd
  | path parts PathEnd
  | SearchPath
  | Uri
  | ParenOpen whole ParenClose
  | Let BraceOpen any BraceClose
  | Rec BraceOpen any BraceClose
  | BraceOpen some BraceClose
  | BraceOpen BraceClose
  | BracketOpen items BracketClose
text: String | parts |
parts: parts String
  | parts DollarBrace whole BraceClose
  | DollarBrace whole BraceClose
  | String DollarBrace whole BraceClose
path: Path | HomePath
pieces: pieces IndentedString | pieces DollarBrace whole BraceClose |
any: some |
some: some names Assign whole Semicolon
  | any Inherit inherited Semicolon
  | any Inherit ParenOpen whole ParenClose inherited Semicolon
  | names Assign whole Semicolon
inherited: inherited word | inherited computed |
names: names Dot word | names Dot computed | word | computed
word: Identifier | Or
computed: Quote text Quote | DollarBrace whole BraceClose
items: items selection |
arguments: BraceOpen formals Comma Ellipsis BraceClose
  | BraceOpen Ellipsis BraceClose
  | BraceOpen formals Comma BraceClose
  | BraceOpen formals BraceClose
  | BraceOpen BraceClose
formals: formals Comma formal | formal
formal: Identifier | Identifier Question whole
";

struct Automaton {
    grammar: Grammar,
    states: Vec<State>,
}

static AUTOMATON: LazyLock<Automaton> = LazyLock::new(|| {
    let grammar = grammar();
    let states = states(&grammar);
    Automaton { grammar, states }
});

fn grammar() -> Grammar {
    let mut numbers: HashMap<&str, usize> =
        TERMINALS.iter().enumerate().map(|(number, (name, _))| (*name, number)).collect();
    let text = GRAMMAR.replace("\n  ", " ");
    for line in GRAMMAR.lines() {
        if let Some((head, _)) = line.split_once(": ") {
            let next = numbers.len();
            numbers.insert(head, next);
        }
    }
    let precedence: HashMap<usize, (u8, Side)> = LEVELS
        .iter()
        .enumerate()
        .flat_map(|(level, (side, names))| names.iter().map(move |name| (*name, (level as u8, *side))))
        .map(|(name, level)| (numbers[name], level))
        .collect();
    let mut rules = Vec::new();
    for (head, bodies) in text.lines().filter_map(|line| line.split_once(": ")) {
        for body in bodies.split('|') {
            let (body, named) = body.split_once('%').unwrap_or((body, ""));
            let body: Vec<usize> = body.split_whitespace().map(|name| numbers[name]).collect();
            let last = body.iter().rev().find(|symbol| **symbol < TERMINALS.len()).copied();
            let precedence = numbers.get(named.trim()).copied().or(last);
            rules.push(Rule { head: numbers[head], body, precedence });
        }
    }
    Grammar { terminals: TERMINALS.len(), symbols: numbers.len(), rules, precedence }
}

fn terminal(token: Token) -> usize {
    let name = format!("{token:?}");
    TERMINALS.iter().position(|(known, _)| *known == name).expect("each token has its row")
}

/// Reads a text that has failed to parse once more, for the message.
pub(crate) fn syntax_error(source: &Source, options: &ParseOptions<'_>) -> Box<Diagnostic> {
    let Automaton { grammar, states } = &*AUTOMATON;
    let text = source.text();
    let mut lexer = Lexer::new(source, &text, options.pipe_operators);
    let mut stack = vec![0];
    let mut token = None;
    loop {
        let state = &states[*stack.last().unwrap_or(&0)];
        let found = match token {
            Some(found) => found,
            None => {
                let found = lexer.next();
                if let Some(failure) = lexer.failure {
                    return failure;
                }
                *token.insert(terminal(found))
            }
        };
        let action = state.actions.get(&found).copied().or(state.default.map(Action::Reduce));
        match action {
            Some(Action::Shift(target)) => {
                stack.push(target);
                token = None;
                if found == 0 {
                    // Both parsers know the same language; this is for a defect in one of them.
                    return Box::new(Diagnostic::error("syntax error", source.pos(lexer.start)));
                }
            }
            Some(Action::Reduce(rule)) => {
                let rule = &grammar.rules[rule];
                stack.truncate(stack.len() - rule.body.len());
                stack.push(states[*stack.last().unwrap_or(&0)].gotos[&rule.head]);
            }
            Some(Action::Error) | None => return message(source, &lexer, state, found),
        }
    }
}

fn message(source: &Source, lexer: &Lexer<'_>, state: &State, found: usize) -> Box<Diagnostic> {
    let mut message = format!("syntax error, unexpected {}", TERMINALS[found].1);
    let expected: Vec<&str> = state
        .actions
        .iter()
        .filter(|(_, action)| **action != Action::Error)
        .map(|(token, _)| TERMINALS[*token].1)
        .collect();
    if !expected.is_empty() && expected.len() <= 4 {
        message.push_str(", expecting ");
        message.push_str(&expected.join(" or "));
    }
    let offset = if found == 0 { lexer.end_of_text } else { lexer.start };
    Box::new(Diagnostic::error(message, source.pos(offset)).with_code(Code::SYNTAX))
}
