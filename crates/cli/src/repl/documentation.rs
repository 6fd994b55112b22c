//! What `:doc` prints: Markdown for a terminal.

use nival_eval::Documentation;

use crate::world::World;

/// The documentation as text for people; as Markdown where a test asks for that (`_NIX_TEST_RAW_MARKDOWN`).
pub(super) fn render(world: &World, documentation: &Documentation) -> String {
    let mut markdown = String::new();
    if let Some((name, arguments)) = documentation.synopsis {
        let arguments: Vec<String> = arguments.iter().map(|name| format!("*{name}*")).collect();
        markdown = format!("**Synopsis:** `builtins.{name}` {}\n\n", arguments.join(" "));
    }
    markdown.push_str(&documentation.text);
    if world.context.variable("_NIX_TEST_RAW_MARKDOWN") == Some("1") {
        return markdown.trim().to_owned();
    }
    plain(&markdown, world.context.output_terminal).trim().to_owned()
}

/// Takes the marks of emphasis and code out of Markdown, and puts terminal escapes in their places if wanted.
fn plain(markdown: &str, styled: bool) -> String {
    let mut out = String::new();
    let mut in_block = false;
    for line in markdown.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        if in_block {
            out.push_str("    ");
            out.push_str(line);
        } else {
            inline(line.strip_suffix('\\').unwrap_or(line), styled, &mut out);
        }
        out.push('\n');
    }
    out
}

fn inline(line: &str, styled: bool, out: &mut String) {
    let mut rest = line;
    while let Some(start) = rest.find(['`', '*']) {
        let mark = if rest[start..].starts_with("**") { "**" } else { &rest[start..=start] };
        let after = &rest[start + mark.len()..];
        out.push_str(&rest[..start]);
        let style = if mark == "*" { "\x1b[3m" } else { "\x1b[1m" };
        match after.find(mark).filter(|end| *end > 0 && !after.starts_with(' ')) {
            Some(end) if styled => {
                out.push_str(style);
                out.push_str(&after[..end]);
                out.push_str("\x1b[0m");
                rest = &after[end + mark.len()..];
            }
            Some(end) => {
                out.push_str(&after[..end]);
                rest = &after[end + mark.len()..];
            }
            None => {
                out.push_str(mark);
                rest = after;
            }
        }
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_taken_out() {
        let table = [
            ("a `b*c` *d* **e**", "a b*c d e\n"),
            ("2 * 3 * 4", "2 * 3 * 4\n"),
            ("x\\\ny", "x\ny\n"),
            ("```nix\na `b`\n```\nc", "    a `b`\nc\n"),
            ("`open", "`open\n"),
        ];
        for (markdown, expected) in table {
            assert_eq!(plain(markdown, false), expected, "{markdown}");
        }
        assert_eq!(plain("`x`", true), "\x1b[1mx\x1b[0m\n");
    }
}
