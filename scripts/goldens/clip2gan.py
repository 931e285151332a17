"""The mapper, the noise and the losses of CLIP2GAN."""

import torch.nn.functional as F

from reference import clip2gan, losses
from reference import stylegan2 as sg

from .networks import prefixed
from .store import Golden, gradients

N, SIZE, RES = 4, 5, 16
KINDS = ("multiply", "add", "none", "lafite")
SCALE, PENALTY = 0.6, 10.0


def make():
    golden = Golden("clip2gan", "CLIP2GAN: mapper, noise and losses")
    f = golden.put("in.f", clip2gan.unit(golden.normal("in.raw", N, SIZE)).float().double())
    mapper = clip2gan.Mapper(SIZE, 6, 3, 2, 3)
    state = mapper.state_dict()
    for name, old in state.items():
        state[name] = golden.normal(f"M.{name}", *old.shape, scale=0.3 if name.endswith("bias") else old.shape[-1] ** -0.5)
    mapper.double().load_state_dict(state)
    codes = golden.put("codes", mapper(f))
    projection = golden.normal("in.projection", *codes.shape)
    golden.put_all("grad.M", gradients((codes * projection).sum(), dict(mapper.named_parameters())))
    normal = golden.normal("in.normal", N, SIZE)
    for kind in KINDS:
        golden.put(f"noise.{kind}", clip2gan.noisy(kind, f, normal, SCALE))
        golden.put(f"noise.{kind}.half", clip2gan.noisy(kind, f, normal, SCALE, 0.5))

    real = golden.uniform("in.real", N, 3, RES, RES)
    # The second image of the first pair is so near that its quotient is limited.
    first = golden.uniform("in.first", N, 3, RES, RES).requires_grad_()
    second = golden.uniform("in.second", N, 3, RES, RES)
    second[0] = (first.detach()[0] + 1e-3 * second[0]).float().double()
    golden.tensors["in.second"] = second.float()
    second = second.requires_grad_()
    golden.put("loss.reconstruction", (real - first).square().mean())
    layers = lambda x: [x[:, :, ::2, ::2] * 2, F.avg_pool2d(x, 4).square()]
    golden.put("loss.identity", clip2gan.identity(layers(real), layers(first)))
    vectors = [clip2gan.noisy("multiply", f, n, SCALE) for n in (normal, golden.normal("in.other", N, SIZE))]
    diversity = golden.put("loss.diversity", clip2gan.diversity(vectors, (first, second)))
    golden.put_all("grad.diversity", gradients(diversity, {"first": first, "second": second}))

    D = golden.fill("D", sg.Discriminator(RES, 128, 8, group=1))
    share = golden.uniform("in.share", N, 1, 1, 1, low=0.0)
    fake = first.detach()
    between = golden.put("between", share * real + (1 - share) * fake)
    penalty = golden.put("loss.penalty", PENALTY * clip2gan.wgan_gp(D, between))
    golden.put_all("grad.penalty", gradients(penalty, prefixed("D", D)))
    of_fake, of_real = D(fake).flatten(), D(real).flatten()
    golden.put("loss.wgan.d", of_fake.mean() - of_real.mean())
    golden.put("loss.wgan.g", -of_fake.mean())
    golden.put("loss.nonsaturating.d", losses.discriminator_loss(of_fake, of_real))
    golden.put("loss.nonsaturating.g", losses.generator_loss(of_fake))
    golden.note("networks", "M: 5 -> 6 -> 6 -> 2*3; D: resolution 16, channel_base 128, channel_max 8, minibatch standard deviation over single images")
    golden.note("losses", "penalty: weight 10, gradients by double backward; identity: features are every second pixel doubled, and squared means of 4x4 pixels")
    return golden
