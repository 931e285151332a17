"""Plain PyTorch reference of the method: slow, readable, differentiable to any order.

Nothing here is used by the Rust program. It exists to make the golden files of `tests/goldens`, so it
favours formulas as the papers print them over speed, and plain tensor operations over fused ones, because
the regularisers of StyleGAN2 are gradients of gradients.
"""
