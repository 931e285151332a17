//! The values that occur in the pickle of a state dict.

use std::rc::Rc;

/// A value in a pickle.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// None, a boolean or a float; tensors do not depend on these.
    Opaque,
    /// An integer. PyTorch's magic number has 10 bytes, hence 128 bits.
    Int(i128),
    /// A string.
    Text(Rc<str>),
    /// A class or function.
    Name(Name),
    /// A tuple, as the index of a container with its members.
    Tuple(usize),
    /// A list, as the index of a container with its members.
    List(usize),
    /// A dict, as the index of a container with alternating keys and values.
    Dict(usize),
    /// An object of a TorchScript program, as the index of a container with alternating names and
    /// values of its attributes.
    Object(usize),
    /// A storage, as an index into the machine's storages.
    Storage(usize),
    /// A tensor, as an index into the machine's tensors.
    Tensor(usize),
}

/// The classes and functions that a state dict may refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    OrderedDict,
    Parameter,
    RebuildParameter,
    RebuildTensor,
    /// Builds a tensor whose storage consists of bytes; its last arguments name the type.
    RebuildTyped,
    /// Builds a quantised tensor.
    RebuildQuantised,
    Storage(Element),
    /// A class of a TorchScript program. Its objects are their attributes; its code is not read.
    Script,
    /// A function of TorchScript that returns its first argument.
    First,
    /// A type of numbers, or a way to quantise them.
    Type(&'static str),
}

/// The type of the numbers in a storage.
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
    /// A type that cannot be read.
    Other {
        name: &'static str,
        size: usize,
    },
}

impl Element {
    /// Bytes per number.
    pub(super) fn size(self) -> usize {
        match self {
            Element::F64 | Element::I64 => 8,
            Element::F32 | Element::I32 => 4,
            Element::F16 | Element::Bf16 | Element::I16 => 2,
            Element::I8 | Element::U8 | Element::Bool => 1,
            Element::Other { size, .. } => size,
        }
    }
}

/// A block of numbers that is stored outside the pickle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Storage {
    /// The name of its file in the archive, or its key in the older container.
    pub(super) key: Rc<str>,
    /// The type of its numbers.
    pub(super) element: Element,
    /// How many numbers the whole storage has.
    pub(super) total: usize,
    /// First number of the part that tensors use; not 0 only in old files.
    pub(super) start: usize,
    /// How many numbers that part has.
    pub(super) len: usize,
}

/// A tensor as a strided view of a storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TensorView {
    /// Index into the machine's storages.
    pub(super) storage: usize,
    /// Position of the first element, from the storage's `start`.
    pub(super) offset: usize,
    /// Extents, outermost first.
    pub(super) shape: Vec<usize>,
    /// Distance between neighbours along each axis.
    pub(super) strides: Vec<usize>,
    /// The type of the values, if it cannot be read.
    pub(super) unreadable: Option<&'static str>,
}
