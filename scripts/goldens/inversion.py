"""Encoder, latent discriminator, and the losses of inversion."""

from reference import encoder as enc
from reference import losses
from reference import stylegan2 as sg

from .networks import SMALL, prefixed
from .store import Golden, gradients

RES, N, WIDTHS = 16, 4, (8, 16, 16)
WEIGHTS = {"pix": 1.0, "adv": 0.08, "w_adv": 0.1, "cyc": 1.0}


def fill(golden, prefix, module):
    """N(0, 1/fan_in) weights, small biases, norms about (1, 0); stored as `prefix.*`."""
    state = module.state_dict()
    for name, old in state.items():
        norm, bias = "norm" in name, name.endswith("bias")
        fan_in = old[0].numel() if old.ndim > 1 else 1
        scale = 0.2 if norm or bias else fan_in**-0.5
        state[name] = golden.normal(f"{prefix}.{name}", *old.shape, scale=scale, shift=1.0 if norm and not bias else 0.0)
    module.double().load_state_dict(state)
    return module


def block_case(golden, name, block):
    """One residual block: value and gradients of a random projection."""
    fill(golden, f"{name}.p", block)
    x = golden.normal(f"{name}.in", 2, block.conv1.in_channels, 4, 6).requires_grad_()
    y = golden.put(f"{name}.out", block(x))
    r = golden.normal(f"{name}.r", *y.shape)
    golden.put_all(f"{name}.grad", gradients((r * y).sum(), {"in": x, **dict(block.named_parameters())}))


def r1_of_latents(golden, D_w, w):
    """R1 of the latent discriminator, whose gradient image the Rust code needs as well."""
    loss = golden.put("w_r1.loss", enc.latent_r1(D_w, w))
    golden.put_all("w_r1.grad", gradients(loss, prefixed("Dw", D_w)))
    _, v, tangent = losses.r1_surrogate(D_w, w, 10.0)
    golden.put_all("w_r1", {"v": v, "logits_t": tangent})


def make():
    golden = Golden("inversion", "Encoder, latent discriminator and losses of cycle-consistent inversion at 16x16")
    for name, fans, normalised in (("block_norm", (8, 16), True), ("block_norm_same", (16, 16), True), ("block_plain", (8, 16), False), ("block_narrowing", (16, 8), True)):
        block_case(golden, name, enc.ResidualBlock(*fans, normalised))
    G = golden.fill("G", sg.Generator(resolution=RES, **SMALL, mapping_layers=2))
    D = golden.fill("D", sg.Discriminator(RES, SMALL["channel_base"], SMALL["channel_max"]))
    E = fill(golden, "E", enc.Encoder(WIDTHS, SMALL["w_dim"]))
    D_w = fill(golden, "Dw", enc.LatentDiscriminator(SMALL["w_dim"], 12))
    real, z = golden.uniform("in.real", N, 3, RES, RES), golden.normal("in.z", N, SMALL["z_dim"])
    w = golden.put("w", G.mapping(z).detach())
    synthesis = lambda v: G.synthesis(v[:, None].expand(-1, G.num_ws, -1), "const")
    terms, x_hat, w_hat = enc.encoder_losses(E, D, D_w, synthesis, real, w)
    golden.put_all("out", {"code": E(real), "image": x_hat, "code_of_fake": w_hat, "w_logits_real": D_w(w), "w_logits_fake": D_w(w_hat)})
    for name, loss in terms.items():
        golden.put(f"loss.{name}", loss)
        golden.put_all(f"grad.{name}", gradients(loss, prefixed("E", E)))
    total = sum(WEIGHTS[k] * v for k, v in terms.items())
    golden.put("loss.total", total)
    golden.put_all("grad.total", gradients(total, prefixed("E", E)))
    critic = golden.put("loss.critic", enc.critic_loss(D, real, x_hat) + losses.r1_loss(D, real, 10.0))
    golden.put_all("grad.critic", gradients(critic, prefixed("D", D)))
    w_critic = golden.put("loss.w_critic", enc.critic_loss(D_w, w, w_hat))
    golden.put_all("grad.w_critic", gradients(w_critic, prefixed("Dw", D_w)))
    r1_of_latents(golden, D_w, w)
    golden.note("networks", "G: resolution 16, z_dim = w_dim = 16, channel_base 128, channel_max 8, 2 mapping layers, const noise; D: same, group 4; E: stem 8, blocks 8->16->16, fc 256 -> 16 (space W); Dw: 16 -> 12 -> 12 -> 12 -> 1")
    golden.note("encoder", "conv 3x3 (no bias) -> GroupNorm(min(8, channels) groups, eps 1e-5) -> leaky ReLU 0.2 without gain; block: average pool 2x2 first, then conv1, norm1, act, conv2, norm2, act, "
                           "plus the input or, where widths differ, act(shortcut_norm(shortcut 1x1)); fc on the flattened [C,4,4]; block_plain: no norms, convolutions with bias")  # fmt: skip
    golden.note("losses", "pix mean (x-x^)^2; adv mean softplus(-D(x^)); w_adv mean softplus(-Dw(E(G(w)))); cyc mean (w-E(G(w)))^2; total 1, 0.08, 0.1, 1; gradients w.r.t. E; w = mapping(in.z), G frozen; "
                          "critic: softplus(D(x^)) + softplus(-D(x)) + 5 mean||v||^2 (every step); w_critic: softplus(Dw(w^)) + softplus(-Dw(w)); w_r1: 5 mean||v||^2 on w, its interval factor 16 not included")  # fmt: skip
    return golden
