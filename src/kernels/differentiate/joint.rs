//! Operations with any number of operands and results.
//!
//! A step of Burn's backward pass has a fixed number of operands and one result. Here, a chain of links
//! has the operands of the operation, and every result is a branch of the last link. Burn runs all
//! steps that depend on a link before the link itself. So the branches collect the gradients of the
//! results, the first link that runs computes the gradients of all operands, and each link registers
//! those of its own operands.
//!
//! The tensor of a link has no meaning; neither has its gradient, which a link gets so that Burn's steps
//! find one.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::autodiff::{
    Autodiff,
    checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
    grads::Gradients,
    ops::{Backward, Ops, OpsKind},
};
use burn::backend::tensor::FloatTensor;

use crate::kernels::backend::Kernels;

/// Operands of a link, its predecessor included.
const LINK: usize = 8;

/// A gradient for each tensor of a list; none where nothing depends on the tensor, or no gradient is
/// wanted.
pub type Optional<B> = Vec<Option<FloatTensor<B>>>;

/// Computes the gradients of the operands from those of the results.
type Compute<B> = Box<dyn FnOnce(Optional<B>) -> Optional<B> + Send>;

/// What the steps of one operation share.
struct Joint<B: Kernels> {
    of_results: Optional<B>,
    of_operands: Optional<B>,
    /// Until it has been computed.
    compute: Option<Compute<B>>,
}

/// A step's access to its operation.
struct Handle<B: Kernels, T> {
    joint: Arc<Mutex<Joint<B>>>,
    role: T,
}

impl<B: Kernels, T: Clone> Clone for Handle<B, T> {
    fn clone(&self) -> Self {
        Self { joint: self.joint.clone(), role: self.role.clone() }
    }
}

impl<B: Kernels, T: fmt::Debug> fmt::Debug for Handle<B, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.role.fmt(formatter)
    }
}

/// The place of a link's operand.
#[derive(Debug, Clone, Copy)]
enum Slot {
    /// An operand of the operation.
    Operand(usize),
    /// The link before this one.
    Previous,
    /// An operand again, because a link has a fixed number of them.
    Empty,
}

#[derive(Debug)]
struct Link;

impl<B: Kernels> Backward<B, LINK> for Link {
    type State = Handle<B, [Slot; LINK]>;

    fn backward(self, ops: Ops<Self::State, LINK>, grads: &mut Gradients, _: &mut Checkpointer) {
        let g = grads.consume::<B>(&ops.node);
        let Handle { joint, role } = ops.state;
        let mut joint = joint.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(compute) = joint.compute.take() {
            joint.of_operands = compute(std::mem::take(&mut joint.of_results));
        }
        for (parent, slot) in ops.parents.iter().zip(role) {
            let Some(parent) = parent else { continue };
            let gradient = match slot {
                Slot::Operand(index) => joint.of_operands[index].take(),
                Slot::Previous => Some(g.clone()),
                Slot::Empty => None,
            };
            if let Some(gradient) = gradient {
                grads.register::<B>(parent.id, gradient);
            }
        }
    }
}

#[derive(Debug)]
struct Branch;

impl<B: Kernels> Backward<B, 1> for Branch {
    /// The number of the result.
    type State = Handle<B, usize>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let g = grads.consume::<B>(&ops.node);
        let Handle { joint, role } = ops.state;
        let mut joint = joint.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = joint.of_results.iter().all(Option::is_none);
        joint.of_results[role] = Some(g.clone());
        let [link] = ops.parents;
        if let Some(link) = link.filter(|_| is_first) {
            grads.register::<B>(link.id, g);
        }
    }
}

/// The results as tensors that the backward pass follows to `operands`. `compute` gets the gradients of
/// the results that the loss depends on, in order, and returns those of the operands.
pub fn joint<B: Kernels, C: CheckpointStrategy>(
    operands: &[FloatTensor<Autodiff<B, C>>],
    results: Vec<FloatTensor<B>>,
    compute: impl FnOnce(Optional<B>) -> Optional<B> + Send + 'static,
) -> Vec<FloatTensor<Autodiff<B, C>>> {
    let joint = Arc::new(Mutex::new(Joint {
        of_results: results.iter().map(|_| None).collect(),
        of_operands: Vec::new(),
        compute: Some(Box::new(compute) as Compute<B>),
    }));
    let mut wanted: Vec<(&FloatTensor<Autodiff<B, C>>, Slot)> = operands
        .iter()
        .enumerate()
        .filter(|(_, operand)| operand.is_tracked())
        .map(|(index, operand)| (operand, Slot::Operand(index)))
        .collect();
    if wanted.is_empty() {
        wanted.push((&operands[0], Slot::Empty));
    }
    let mut rest = wanted.as_slice();
    let mut last: Option<FloatTensor<Autodiff<B, C>>> = None;
    while !rest.is_empty() {
        let room = if last.is_some() { LINK - 1 } else { LINK };
        let (own, later) = rest.split_at(rest.len().min(room));
        rest = later;
        let previous = last.iter().map(|link| (link, Slot::Previous));
        let slots: Vec<_> = previous.chain(own.iter().copied()).collect();
        let slot = |at: usize| slots.get(at).copied().unwrap_or((slots[0].0, Slot::Empty));
        let nodes = std::array::from_fn(|at| slot(at).0.node());
        let value = slots[0].0.primitive().clone();
        let link = match Link.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let role = std::array::from_fn(|at| slot(at).1);
                prep.finish(Handle { joint: joint.clone(), role }, value)
            }
            OpsKind::UnTracked(prep) => prep.finish(value),
        };
        last = Some(link);
    }
    let last = last.expect("there is at least one link");
    results
        .into_iter()
        .enumerate()
        .map(|(role, result)| match Branch.prepare::<C>([last.node()]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(Handle { joint: joint.clone(), role }, result),
            OpsKind::UnTracked(prep) => prep.finish(result),
        })
        .collect()
}
