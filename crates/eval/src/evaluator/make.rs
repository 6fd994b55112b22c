//! Making values.

use nival_formats::StorePath;
use nival_syntax::{Pos, Symbol};

use super::Evaluator;
use crate::code::{Code, Op, Run};
use crate::context::{Context, ContextElement};
use crate::path::{canonical, is_plainly_canonical};
use crate::value::{
    Attr, Attrs, AttrsBuilder, Builtin, List, ListBuilder, Partial, Str, Suspension, Thunk, Value,
};

/// A page of the strings that names are. Few names are needed as strings, but those have much in common: they come from
/// the same files.
pub(super) type NameStrings = Box<[Option<Value>; CHUNK]>;
const CHUNK: usize = 512;

impl Evaluator {
    /// An integer.
    pub fn int(&self, value: i64) -> Value {
        Value::new_int(&self.heap, value)
    }

    /// A floating-point number.
    pub fn float(&self, value: f64) -> Value {
        Value::new_float(&self.heap, value)
    }

    /// A string that refers to nothing.
    pub fn string(&self, bytes: impl AsRef<[u8]>) -> Value {
        self.string_with_context(bytes, Context::EMPTY)
    }

    /// A string with a context.
    pub fn string_with_context(&self, bytes: impl AsRef<[u8]>, context: Context) -> Value {
        self.text(bytes, context).into()
    }

    /// A string object: what [`Evaluator::coerce_to_string`] gives.
    pub fn text(&self, bytes: impl AsRef<[u8]>, context: Context) -> Str {
        let bytes = bytes.as_ref();
        self.make_string(bytes.len(), context, |to| to.copy_from_slice(bytes))
    }

    /// The name of a store path, as a string that refers to it.
    pub fn store_path_string(&self, path: &StorePath) -> Value {
        let context = Context::of(ContextElement::Path(path.clone()));
        self.store_path_text(path, context).into()
    }

    /// The name of a store path, which nobody has made a string of yet.
    pub(crate) fn store_path_text(&self, path: &StorePath, context: Context) -> Str {
        let pieces = [self.host().store_dir().as_str(), "/", path.as_str()].map(str::as_bytes);
        Str::build_of(&self.heap, &pieces, context)
    }

    /// A path, which must be absolute and canonical.
    pub fn path(&self, path: impl AsRef<[u8]>) -> Value {
        Value::new_path(&self.heap, self.text(path, Context::EMPTY))
    }

    /// The path that an absolute one becomes with more pieces behind it.
    pub(crate) fn path_of(&self, pieces: &[&[u8]]) -> Value {
        // Hardly any is made twice, so none is looked for among those made before.
        let joined = Str::build_of(&self.heap, pieces, Context::EMPTY);
        if is_plainly_canonical(joined.bytes()) {
            return Value::new_path(&self.heap, joined);
        }
        self.path(canonical(joined.bytes()))
    }

    /// A list.
    pub fn list(&self, values: &[Value]) -> Value {
        List::new(&self.heap, values).into()
    }

    /// A list to be filled with exactly so many values.
    pub fn list_of(&self, length: usize) -> ListBuilder {
        ListBuilder::new(&self.heap, length)
    }

    /// An attribute set.
    pub fn attrs(&self, builder: AttrsBuilder) -> Value {
        builder.build(&self.heap).into()
    }

    /// An attribute set of attributes sorted by name's number, without doubles.
    pub fn attrs_from_sorted(&self, attrs: &[Attr]) -> Value {
        Attrs::from_sorted(&self.heap, attrs).into()
    }

    /// `left // right`
    pub fn update(&self, left: Attrs, right: Attrs) -> Attrs {
        left.update(&self.heap, right)
    }

    /// Several lists in one.
    pub fn concat_lists(&self, lists: &[List]) -> List {
        crate::compile::concat(self, lists)
    }

    /// A position as `unsafeGetAttrPos` gives it: a set, or `null`.
    pub fn position(&self, pos: Pos) -> Value {
        crate::compile::position_value(self, pos)
    }

    /// A built-in function.
    pub fn builtin(&self, builtin: &'static Builtin) -> Value {
        Value::new_builtin(&self.heap, builtin)
    }

    /// A built-in function applied to fewer arguments than it takes.
    pub fn partial(&self, builtin: &'static Builtin, arguments: &[Value]) -> Value {
        Partial::new(&self.heap, builtin, arguments).into()
    }

    /// A name as a string: one string for each name.
    pub fn name_string(&self, name: Symbol) -> Value {
        let index = name.id() as usize;
        let mut chunks = self.name_strings.borrow_mut();
        let (chunk, index) = (index / CHUNK, index % CHUNK);
        if chunks.len() <= chunk {
            chunks.resize_with(chunk + 1, || None);
        }
        let strings = chunks[chunk].get_or_insert_with(|| Box::new([None; CHUNK]));
        *strings[index].get_or_insert_with(|| self.string(name.as_bytes()))
    }

    /// A thunk of native code that is made once or a few times in a program.
    pub(crate) fn native_thunk(&self, node: impl Run) -> Value {
        let code = Code::native(Op::new(&self.heap, node)).keep(&self.heap);
        Thunk::alone(&self.heap, Suspension::code(code, super::Env::ROOT))
    }
}
