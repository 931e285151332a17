//! An interpreter for the part of Python's pickle language that state dicts use.
//!
//! A pickle is a program for a stack machine. This machine supports the instructions that build
//! numbers, strings, tuples, lists and dicts, and a fixed list of names that it maps to its own
//! values; it never calls anything. Any other name or instruction is an error that names it.
//!
//! A TorchScript archive contains such a pickle beside the code of its classes. An object of these
//! classes is read as a dict of its attributes, and the code is not read.
//!
//! Containers are stored in one arena and refer to each other by index, so a pickle that nests
//! deeply or refers to itself can neither overflow the stack nor leak memory.

use std::collections::HashMap;
use std::io::{self, Read};
use std::rc::Rc;

use super::values::{Element, Name, Storage, TensorView, Value};
use crate::error::{Error, Result};

/// Largest number of instructions; the state dict of VGG16 has about a thousand.
const MAX_STEPS: usize = 5_000_000;
/// Largest length of a string in bytes.
const MAX_TEXT: u64 = 1 << 20;
/// Largest nesting depth of dicts that contain tensors.
const MAX_DEPTH: usize = 16;
/// Largest number of dimensions of a tensor, and of arguments of a constructor.
const MAX_ARGUMENTS: usize = 64;
/// Largest total length of the names of all tensors in bytes: shared dicts repeat their prefix.
const MAX_NAMES: usize = 64 << 20;

/// The module of all classes of TorchScript programs.
const SCRIPT: &str = "__torch__";
/// Types of tensors that cannot be read, and ways to quantise, under their names in `torch`.
const TYPES: [&str; 22] = [
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float8_e8m0fnu",
    "float4_e2m1fn_x2",
    "complex32",
    "complex64",
    "complex128",
    "uint16",
    "uint32",
    "uint64",
    "qint8",
    "quint8",
    "qint32",
    "quint4x2",
    "quint2x4",
    "per_tensor_affine",
    "per_channel_affine",
    "per_tensor_symmetric",
    "per_channel_symmetric",
    "per_channel_affine_float_qparams",
];

/// Runs pickles. Storages and tensors of consecutive pickles are collected.
pub(super) struct Machine {
    pub(super) storages: Vec<Storage>,
    pub(super) tensors: Vec<TensorView>,
    containers: Vec<Vec<Value>>,
    memo: HashMap<u32, Value>,
    stack: Vec<Value>,
    marks: Vec<usize>,
    /// The first storage with each key.
    by_key: HashMap<Rc<str>, usize>,
    /// Number of values that may still be copied from containers. Instructions that copy take three
    /// bytes, so a limit of the instructions would not bound the memory.
    copies: usize,
}

impl Machine {
    /// A machine without storages and tensors.
    pub(super) fn new() -> Self {
        Self {
            storages: Vec::new(),
            tensors: Vec::new(),
            containers: Vec::new(),
            memo: HashMap::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            by_key: HashMap::new(),
            copies: MAX_STEPS,
        }
    }

    /// The first storage with this key.
    pub(super) fn storage(&self, key: &str) -> Option<&Storage> {
        self.by_key.get(key).map(|&at| &self.storages[at])
    }

    /// Runs one pickle up to its stop instruction.
    pub(super) fn run(&mut self, input: &mut impl Read) -> Result<Value> {
        self.memo.clear();
        self.stack.clear();
        self.marks.clear();
        for _ in 0..MAX_STEPS {
            let [op] = bytes(input)?;
            if op == b'.' {
                return self.pop();
            }
            self.step(op, input)?;
        }
        Err(damaged("it never ends"))
    }

    /// The tensors in `root`, a dict or object that may contain further ones, with their dotted names.
    pub(super) fn named_tensors(&self, root: &Value) -> Result<Vec<(String, usize)>> {
        let (Value::Dict(root) | Value::Object(root)) = root else {
            return Err(Error::user("the checkpoint is not a dict of tensors")
                .hint("save `model.state_dict()` with torch.save"));
        };
        let mut found = Vec::new();
        // Dicts may share members, so a limit of the depth would not bound the work.
        let mut budget = Budget { pairs: MAX_STEPS, names: MAX_NAMES };
        self.gather(*root, "", 0, &mut budget, &mut found)?;
        Ok(found)
    }

    /// Adds the tensors in one dict and those nested in it to `found`.
    fn gather(
        &self,
        dict: usize,
        prefix: &str,
        depth: usize,
        budget: &mut Budget,
        found: &mut Vec<(String, usize)>,
    ) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(damaged("its dicts nest too deeply"));
        }
        for pair in self.containers[dict].chunks_exact(2) {
            let pairs = budget.pairs.checked_sub(1);
            budget.pairs = pairs.ok_or_else(|| damaged("its dicts never end"))?;
            let key = match &pair[0] {
                Value::Text(text) => text.to_string(),
                Value::Int(number) => number.to_string(),
                _ => continue,
            };
            let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
            let names = budget.names.checked_sub(name.len());
            budget.names = names.ok_or_else(|| damaged("the names of its tensors never end"))?;
            match &pair[1] {
                Value::Tensor(tensor) => found.push((name, *tensor)),
                Value::Dict(inner) | Value::Object(inner) => {
                    self.gather(*inner, &name, depth + 1, budget, found)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The members of a list or tuple.
    pub(super) fn members(&self, value: &Value) -> Result<&[Value]> {
        match value {
            Value::List(at) | Value::Tuple(at) => Ok(&self.containers[*at]),
            _ => Err(damaged("a list or tuple is missing")),
        }
    }

    /// Runs one instruction.
    fn step(&mut self, op: u8, input: &mut impl Read) -> Result<()> {
        match op {
            0x80 => drop(bytes::<1>(input)?),
            0x95 => drop(bytes::<8>(input)?),
            b'N' | 0x88 | 0x89 => self.stack.push(Value::Opaque),
            b'J' => self.push_int(i32::from_le_bytes(bytes(input)?)),
            b'K' => self.push_int(bytes::<1>(input)?[0]),
            b'M' => self.push_int(u16::from_le_bytes(bytes(input)?)),
            0x8a => self.long(input)?,
            b'G' => {
                bytes::<8>(input)?;
                self.stack.push(Value::Opaque);
            }
            // Strings whose length has 4, 1 or 8 bytes; `T` and `U` are strings of Python 2.
            b'X' | b'T' => {
                let len = u32::from_le_bytes(bytes(input)?);
                self.text(len.into(), input)?;
            }
            0x8c | b'U' => {
                let [len] = bytes(input)?;
                self.text(len.into(), input)?;
            }
            0x8d => {
                let len = u64::from_le_bytes(bytes(input)?);
                self.text(len, input)?;
            }
            b'(' => self.marks.push(self.stack.len()),
            b')' => self.tuple(0)?,
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b't' => {
                let members = self.since_mark()?;
                let at = self.container(members);
                self.stack.push(Value::Tuple(at));
            }
            b']' => {
                let at = self.container(Vec::new());
                self.stack.push(Value::List(at));
            }
            b'}' => self.push_dict(Vec::new()),
            b'a' => {
                let value = self.pop()?;
                self.extend_list(vec![value])?;
            }
            b'e' => {
                let values = self.since_mark()?;
                self.extend_list(values)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.extend_dict(vec![key, value])?;
            }
            b'u' => {
                let pairs = self.since_mark()?;
                self.extend_dict(pairs)?;
            }
            b'q' => self.remember(bytes::<1>(input)?[0].into())?,
            b'r' => self.remember(u32::from_le_bytes(bytes(input)?))?,
            0x94 => self.remember(self.memo.len() as u32)?,
            b'h' => self.recall(bytes::<1>(input)?[0].into())?,
            b'j' => self.recall(u32::from_le_bytes(bytes(input)?))?,
            b'c' => {
                let (module, name) = (line(input)?, line(input)?);
                self.name(&module, &name)?;
            }
            0x93 => match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => self.name(&module, &name)?,
                _ => return Err(damaged("a name is not a string")),
            },
            b'Q' => self.persistent()?,
            b'R' | 0x81 => self.reduce()?,
            b'b' => self.build()?,
            _ => return Err(damaged(&format!("it uses the unsupported instruction {op:#04x}"))),
        }
        Ok(())
    }

    fn push_int(&mut self, value: impl Into<i128>) {
        self.stack.push(Value::Int(value.into()));
    }

    /// Reads a little-endian two's complement integer of up to 16 bytes.
    fn long(&mut self, input: &mut impl Read) -> Result<()> {
        let [len] = bytes(input)?;
        if len > 16 {
            return Err(damaged("an integer has more than 16 bytes"));
        }
        let mut digits = [0u8; 16];
        input.read_exact(&mut digits[..len.into()]).map_err(ended)?;
        if len > 0 && digits[usize::from(len) - 1] & 0x80 != 0 {
            digits[len.into()..].fill(0xff);
        }
        self.push_int(i128::from_le_bytes(digits));
        Ok(())
    }

    /// Reads a string of `len` bytes.
    fn text(&mut self, len: u64, input: &mut impl Read) -> Result<()> {
        if len > MAX_TEXT {
            return Err(damaged("a string has more than a megabyte"));
        }
        let mut text = String::new();
        let read = input.take(len).read_to_string(&mut text).map_err(|e| match e.kind() {
            io::ErrorKind::InvalidData => damaged("a string is not UTF-8"),
            _ => ended(e),
        })?;
        if (read as u64) < len {
            return Err(ended(io::ErrorKind::UnexpectedEof.into()));
        }
        self.stack.push(Value::Text(text.into()));
        Ok(())
    }

    /// Replaces the top `len` values by a tuple of them.
    fn tuple(&mut self, len: usize) -> Result<()> {
        // Values below the last mark are not available.
        let floor = self.marks.last().copied().unwrap_or(0);
        let at = self.stack.len().checked_sub(len).filter(|&at| at >= floor).ok_or_else(empty)?;
        let members = self.stack.split_off(at);
        let at = self.container(members);
        self.stack.push(Value::Tuple(at));
        Ok(())
    }

    /// Adds a container to the arena and returns its index.
    fn container(&mut self, members: Vec<Value>) -> usize {
        self.containers.push(members);
        self.containers.len() - 1
    }

    fn push_dict(&mut self, pairs: Vec<Value>) {
        let at = self.container(pairs);
        self.stack.push(Value::Dict(at));
    }

    fn extend_list(&mut self, values: Vec<Value>) -> Result<()> {
        match self.stack.last() {
            Some(&Value::List(at)) => self.containers[at].extend(values),
            _ => return Err(damaged("it appends to a value that is not a list")),
        }
        Ok(())
    }

    fn extend_dict(&mut self, pairs: Vec<Value>) -> Result<()> {
        match self.stack.last() {
            Some(&Value::Dict(at)) if pairs.len().is_multiple_of(2) => {
                self.containers[at].extend(pairs);
            }
            _ => return Err(damaged("it sets an item of a value that is not a dict")),
        }
        Ok(())
    }

    /// Stores the top value in the memo.
    fn remember(&mut self, slot: u32) -> Result<()> {
        let value = self.stack.last().cloned().ok_or_else(empty)?;
        self.memo.insert(slot, value);
        Ok(())
    }

    /// Pushes a value from the memo.
    fn recall(&mut self, slot: u32) -> Result<()> {
        let value = self.memo.get(&slot).cloned();
        self.stack.push(value.ok_or_else(|| damaged("it uses a memo entry that was never set"))?);
        Ok(())
    }

    fn pop(&mut self) -> Result<Value> {
        self.stack.pop().ok_or_else(empty)
    }

    /// Removes the last mark and the values above it, which are returned.
    fn since_mark(&mut self) -> Result<Vec<Value>> {
        let mark = self.marks.pop().filter(|&mark| mark <= self.stack.len()).ok_or_else(empty)?;
        Ok(self.stack.split_off(mark))
    }

    /// Pushes the class or function `module.name`.
    fn name(&mut self, module: &str, name: &str) -> Result<()> {
        use Element as E;
        let known = match (module, name) {
            ("collections", "OrderedDict") => Name::OrderedDict,
            ("torch.nn.parameter", "Parameter") => Name::Parameter,
            ("torch._utils", "_rebuild_parameter") => Name::RebuildParameter,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Name::RebuildTensor,
            ("torch", "DoubleStorage") => Name::Storage(E::F64),
            ("torch", "FloatStorage") => Name::Storage(E::F32),
            ("torch", "HalfStorage") => Name::Storage(E::F16),
            ("torch", "BFloat16Storage") => Name::Storage(E::Bf16),
            ("torch", "LongStorage") => Name::Storage(E::I64),
            ("torch", "IntStorage") => Name::Storage(E::I32),
            ("torch", "ShortStorage") => Name::Storage(E::I16),
            ("torch", "CharStorage") => Name::Storage(E::I8),
            ("torch", "ByteStorage") => Name::Storage(E::U8),
            ("torch", "BoolStorage") => Name::Storage(E::Bool),
            ("torch._utils", "_rebuild_tensor_v3") => Name::RebuildTyped,
            ("torch._utils", "_rebuild_qtensor") => Name::RebuildQuantised,
            ("torch" | "torch.storage", "UntypedStorage") => other("bytes", 1),
            ("torch", "ComplexFloatStorage") => other("complex64", 8),
            ("torch", "ComplexDoubleStorage") => other("complex128", 16),
            ("torch", "QInt32Storage") => other("qint32", 4),
            ("torch", "QInt8Storage") => other("qint8", 1),
            ("torch", "QUInt8Storage") => other("quint8", 1),
            ("torch", "QUInt4x2Storage") => other("quint4x2", 1),
            ("torch", "QUInt2x4Storage") => other("quint2x4", 1),
            (
                "torch.jit._pickle",
                "build_intlist" | "build_doublelist" | "build_boollist" | "build_tensorlist"
                | "restore_type_tag",
            ) => Name::First,
            _ if module == SCRIPT || module.starts_with("__torch__.") => Name::Script,
            _ => match TYPES.into_iter().find(|known| module == "torch" && *known == name) {
                Some(known) => Name::Type(known),
                None => return Err(foreign(module, name)),
            },
        };
        self.stack.push(Value::Name(known));
        Ok(())
    }

    /// Replaces a persistent id by its storage. The id is ("storage", type, key, device, length[,
    /// None or (key, start, length) of the part that is used]).
    fn persistent(&mut self) -> Result<()> {
        let id = self.pop()?;
        let unknown = || damaged("a persistent id is not that of a storage");
        let (key, element, total, view) = match self.members(&id)? {
            [Value::Text(tag), Value::Name(Name::Storage(element)), key, _, total, rest @ ..]
                if &**tag == "storage" =>
            {
                let key: Rc<str> = match key {
                    Value::Text(key) => key.clone(),
                    Value::Int(key) => key.to_string().into(),
                    _ => return Err(unknown()),
                };
                (key, *element, size(total)?, rest.first().cloned())
            }
            _ => return Err(unknown()),
        };
        let (start, len) = match view {
            Some(view @ Value::Tuple(_)) => match self.members(&view)? {
                [_, start, len] => (size(start)?, size(len)?),
                _ => return Err(unknown()),
            },
            _ => (0, total),
        };
        if start.checked_add(len).is_none_or(|end| end > total) {
            return Err(damaged("a view is larger than its storage"));
        }
        if self.storage(&key).is_some_and(|s| (s.element, s.total) != (element, total)) {
            return Err(damaged("a storage has two sizes"));
        }
        if total.checked_mul(element.size()).is_none_or(|bytes| i64::try_from(bytes).is_err()) {
            return Err(damaged("a storage is too large for any machine"));
        }
        self.by_key.entry(key.clone()).or_insert(self.storages.len());
        self.storages.push(Storage { key, element, total, start, len });
        self.stack.push(Value::Storage(self.storages.len() - 1));
        Ok(())
    }

    /// Sets the attributes of the value below the top to the top value.
    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        match (self.stack.last(), state) {
            (Some(&Value::Object(object)), Value::Dict(state)) => {
                self.copied(self.containers[state].len())?;
                let attributes = self.containers[state].clone();
                self.containers[object].extend(attributes);
                Ok(())
            }
            (Some(Value::Object(_)), _) => Err(damaged("the state of an object is not a dict")),
            // Of a dict or a parameter: `_metadata`, `requires_grad`.
            (Some(Value::Dict(_) | Value::Tensor(_)), _) => Ok(()),
            _ => Err(damaged("it sets attributes of neither a dict nor a tensor")),
        }
    }

    /// Counts values that are copied from containers.
    fn copied(&mut self, count: usize) -> Result<()> {
        let left = self.copies.checked_sub(count);
        self.copies = left.ok_or_else(|| damaged("it copies its dicts too often"))?;
        Ok(())
    }

    /// Replaces a known name and its arguments by the value that Python would construct.
    fn reduce(&mut self) -> Result<()> {
        let (arguments, callee) = (self.pop()?, self.pop()?);
        let arguments = self.members(&arguments)?;
        if arguments.len() > MAX_ARGUMENTS {
            return Err(damaged("it passes unsupported arguments to a constructor"));
        }
        let arguments = arguments.to_vec();
        let value = match (callee, arguments.as_slice()) {
            (Value::Name(Name::OrderedDict), []) => {
                self.push_dict(Vec::new());
                return Ok(());
            }
            // Python 2 passes the pairs as one list.
            (Value::Name(Name::OrderedDict), [pairs]) => {
                self.copied(self.members(pairs)?.len())?;
                let mut flat = Vec::new();
                for pair in self.members(pairs)? {
                    match self.members(pair)? {
                        [key, value] => flat.extend([key.clone(), value.clone()]),
                        _ => return Err(damaged("an item of a dict is not a pair")),
                    }
                }
                self.push_dict(flat);
                return Ok(());
            }
            // An object without attributes yet.
            (Value::Name(Name::Script), []) => Value::Object(self.container(Vec::new())),
            (Value::Name(Name::First), [value, ..]) => value.clone(),
            (
                Value::Name(Name::Parameter | Name::RebuildParameter),
                [tensor @ Value::Tensor(_), ..],
            ) => tensor.clone(),
            (
                Value::Name(
                    callee @ (Name::RebuildTensor | Name::RebuildTyped | Name::RebuildQuantised),
                ),
                [Value::Storage(storage), offset, shape, strides, rest @ ..],
            ) => {
                let unreadable = match (callee, self.storages[*storage].element, rest) {
                    // After whether it needs a gradient, and hooks.
                    (Name::RebuildTyped, _, [_, _, Value::Name(Name::Type(name)), ..]) => {
                        Some(*name)
                    }
                    (Name::RebuildTyped, ..) => Some("bytes"),
                    (_, Element::Other { name, .. }, _) => Some(name),
                    (Name::RebuildQuantised, ..) => Some("quantised"),
                    _ => None,
                };
                let sizes = |v: &Value| -> Result<Vec<usize>> {
                    let members = self.members(v)?;
                    match members.len() {
                        0..=MAX_ARGUMENTS => members.iter().map(size).collect(),
                        _ => Err(damaged("a tensor has too many dimensions")),
                    }
                };
                let view = TensorView {
                    storage: *storage,
                    offset: size(offset)?,
                    shape: sizes(shape)?,
                    strides: sizes(strides)?,
                    unreadable,
                };
                self.tensors.push(view);
                Value::Tensor(self.tensors.len() - 1)
            }
            _ => return Err(damaged("it passes unsupported arguments to a constructor")),
        };
        self.stack.push(value);
        Ok(())
    }
}

/// Limits on the remaining work while the tensors are gathered.
struct Budget {
    /// Items of dicts.
    pairs: usize,
    /// Bytes of names.
    names: usize,
}

/// The class of storages of a type that cannot be read.
fn other(name: &'static str, size: usize) -> Name {
    Name::Storage(Element::Other { name, size })
}

/// A value as a size.
fn size(value: &Value) -> Result<usize> {
    match value {
        Value::Int(n) => {
            usize::try_from(*n).map_err(|_| damaged("a size is negative or too large"))
        }
        _ => Err(damaged("a size is not a number")),
    }
}

/// Reads `N` bytes.
fn bytes<const N: usize>(input: &mut impl Read) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes).map_err(ended)?;
    Ok(bytes)
}

/// Reads a line without its end.
fn line(input: &mut impl Read) -> Result<String> {
    let mut line = Vec::new();
    loop {
        match bytes(input)? {
            [b'\n'] => break,
            [byte] => line.push(byte),
        }
        if line.len() > 1000 {
            return Err(damaged("a name has more than 1000 bytes"));
        }
    }
    String::from_utf8(line).map_err(|_| damaged("a name is not UTF-8"))
}

/// The error if reading fails after the file was opened.
pub(super) fn ended(source: io::Error) -> Error {
    let error = match source.kind() {
        io::ErrorKind::UnexpectedEof => Error::user("truncated: it ends before its tensors do")
            .hint("copy or download it again"),
        _ => Error::user(format!("cannot read: {source}"))
            .hint("check the disk, and copy the file again"),
    };
    error.caused_by(source)
}

/// The error for a checkpoint with contents that are broken or unsupported.
pub(super) fn damaged(finding: &str) -> Error {
    Error::user(format!("not a readable checkpoint: {finding}"))
        .hint("copy or download it again, or convert it to safetensors")
}

/// The error if an instruction needs more values than there are.
fn empty() -> Error {
    damaged("its stack is empty")
}

/// The error if a pickle refers to a class or function that is not in the list.
fn foreign(module: &str, name: &str) -> Error {
    Error::user(format!(
        "the checkpoint refers to `{module}.{name}`, and code in checkpoints is never run"
    ))
    .hint("save `model.state_dict()` alone, or convert it to safetensors")
}
