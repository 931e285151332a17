//! What the pickles of state dicts are made of.

use std::rc::Rc;

/// What a pickle can hold.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// None, booleans and floats: nothing that a tensor is made of.
    Opaque,
    /// PyTorch's magic number has 10 bytes.
    Int(i128),
    Text(Rc<str>),
    Name(Name),
    /// Index of a container: its members.
    Tuple(usize),
    List(usize),
    /// Its keys and values in turn.
    Dict(usize),
    /// Index into [`Machine::storages`](super::pickle::Machine).
    Storage(usize),
    /// Index into [`Machine::tensors`](super::pickle::Machine).
    Tensor(usize),
}

/// The names that a state dict may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    OrderedDict,
    Parameter,
    RebuildParameter,
    RebuildTensor,
    Storage(Element),
}

/// Types of numbers in a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Element {
    F64,
    F32,
    F16,
    Bf16,
    I64,
    I32,
    I16,
    I8,
    U8,
    Bool,
}

impl Element {
    pub(super) fn size(self) -> usize {
        match self {
            Element::F64 | Element::I64 => 8,
            Element::F32 | Element::I32 => 4,
            Element::F16 | Element::Bf16 | Element::I16 => 2,
            Element::I8 | Element::U8 | Element::Bool => 1,
        }
    }
}

/// Numbers that lie outside the pickle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Storage {
    /// Where they are: the name of a file in the archive, or a key.
    pub(super) key: Rc<str>,
    pub(super) element: Element,
    /// How many the whole storage has.
    pub(super) total: usize,
    /// First number of this view of it; 0 but in old files.
    pub(super) start: usize,
    /// Length of this view.
    pub(super) len: usize,
}

/// A tensor as a strided view of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorView {
    pub(super) storage: usize,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}
