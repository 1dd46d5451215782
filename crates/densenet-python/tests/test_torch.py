"""The module that stands in for torchvision's."""

import copy
import gc
import pickle

import pytest

torch = pytest.importorskip("torch")
torchvision = pytest.importorskip("torchvision")

import densenet.torch as own

SMALL = {"growth_rate": 4, "block_config": (2, 3), "num_init_features": 8, "bn_size": 2, "num_classes": 5}


def pair(dtype=torch.float32, **changed):
    """torchvision's network and ours, with the same weights."""
    torch.manual_seed(1)
    theirs = torchvision.models.DenseNet(**SMALL | changed).to(dtype)
    with torch.no_grad():
        for name, values in theirs.named_parameters():
            if "norm" in name:
                values.add_(0.2 * torch.randn_like(values))
    ours = own.DenseNet(**SMALL | changed).to(dtype)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


def pictures(count=4, size=48, dtype=torch.float32):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(2)).to(dtype)


def step(model, images):
    """A training step: loss, gradients by name, and running statistics."""
    loss = torch.nn.functional.cross_entropy(model(images), torch.arange(len(images)) % 5)
    loss.backward()
    return loss.detach(), {name: value.grad for name, value in model.named_parameters()}, dict(model.named_buffers())


def distance(found, expected):
    return ((found - expected).norm() / expected.norm().clamp_min(1e-12)).item()


def test_weights_go_both_ways():
    for name in ("densenet121", "densenet161", "densenet169", "densenet201"):
        with torch.device("meta"):
            theirs, ours = getattr(torchvision.models, name)(num_classes=3), getattr(own, name)(num_classes=3)
        assert [(n, v.shape) for n, v in theirs.state_dict().items()] == [
            (n, v.shape) for n, v in ours.state_dict().items()
        ]
    theirs, ours = pair()
    theirs.load_state_dict(ours.state_dict(), strict=True)


@pytest.mark.parametrize("low", [False, True])
def test_a_step_is_that_of_torchvision(low):
    # With memory_efficient torchvision's batch-norms move twice a step.
    (theirs, _), (_, ours) = pair(torch.float64), pair(torch.float64, memory_efficient=low)
    images = pictures(dtype=torch.float64)
    assert own.dispatch(ours, images) == "densenet"
    (loss, gradients, buffers), (expected, wanted, moved) = step(ours, images), step(theirs, images)
    assert distance(loss, expected) < 1e-10
    for name, gradient in wanted.items():
        assert distance(gradients[name], gradient) < 1e-10, name
    for name, values in moved.items():
        assert distance(buffers[name].double(), values.double()) < 1e-10, name
    assert buffers["features.norm0.num_batches_tracked"] == 1


@pytest.mark.parametrize("low", [False, True])
def test_single_precision_is_as_exact_as_torchvision_s(low):
    theirs, ours = pair(memory_efficient=low)
    exact, images = copy.deepcopy(theirs).double(), pictures()
    (loss, gradients, _), (_, rounded, _), (expected, wanted, _) = (
        step(model, images.to(model.classifier.weight.dtype)) for model in (ours, theirs, exact)
    )
    assert distance(loss.double(), expected) < 1e-5
    assert distance(flat(gradients), flat(wanted)) < 1e-4
    for name, gradient in wanted.items():
        # Sums that cancel out, as those before a batch-norm, have few digits in any order.
        limit = max(4 * distance(rounded[name].double(), gradient), 1e-4)
        assert distance(gradients[name].double(), gradient) < limit, name


def flat(gradients):
    return torch.cat([gradient.double().flatten() for gradient in gradients.values()])


def test_densenet121_has_the_gradients_of_torchvision():
    torch.manual_seed(0)
    theirs, ours = torchvision.models.densenet121(num_classes=5).double(), own.DenseNet121(num_classes=5).double()
    ours.load_state_dict(theirs.state_dict())
    images = pictures(size=64, dtype=torch.float64)
    assert own.dispatch(ours, images) == "densenet"
    (_, gradients, _), (_, wanted, _) = step(ours, images), step(theirs, images)
    for name, gradient in wanted.items():
        assert distance(gradients[name], gradient) < 1e-8, name


def test_a_training_is_that_of_torchvision():
    theirs, ours = pair(torch.float64)
    images, losses = pictures(8, dtype=torch.float64), []
    for model in (theirs, ours):
        optimiser = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=1e-4)
        for _ in range(6):
            optimiser.zero_grad()
            loss, _, _ = step(model, images)
            optimiser.step()
        losses.append(loss)
    assert distance(losses[1], losses[0]) < 1e-8
    with torch.no_grad():
        logits = [model.eval()(images) for model in (theirs, ours)]
    assert distance(logits[1], logits[0]) < 1e-8


def test_inference_follows_the_weights():
    theirs, ours = pair()
    images = pictures()
    theirs.eval(), ours.eval()
    with torch.no_grad():
        for change in (lambda p: None, lambda p: p.mul_(1.1), lambda p: p.data.mul_(0.9)):
            for model in (theirs, ours):
                change(model.features.denseblock1.denselayer1.conv1.weight)
            assert own.dispatch(ours, images) == "densenet"
            assert distance(ours(images), theirs(images)) < 1e-4
    with torch.inference_mode():
        assert distance(ours(images), theirs(images)) < 1e-4


def test_another_classifier_and_other_channels():
    theirs, ours = pair(torch.float64)
    for model in (theirs, ours):
        torch.manual_seed(3)
        model.features.conv0 = torch.nn.Conv2d(1, 8, 7, 2, 3, bias=False)
        model.classifier = torch.nn.Sequential(
            torch.nn.Linear(model.classifier.in_features, 7), torch.nn.ReLU(), torch.nn.Linear(7, 5)
        )
    theirs, ours = theirs.double(), ours.double()
    images = pictures(dtype=torch.float64)[:, :1]
    assert own.dispatch(ours, images) == "densenet"
    (_, gradients, _), (_, wanted, _) = step(ours, images), step(theirs, images)
    for name, gradient in wanted.items():
        assert distance(gradients[name], gradient) < 1e-10, name


def test_several_passes_before_and_after_backward():
    theirs, ours = pair(torch.float64)
    for model in (theirs, ours):
        first, second = model(pictures(dtype=torch.float64)), model(pictures(3, 64, torch.float64))
        with torch.no_grad():
            model(pictures(2, dtype=torch.float64))
        (first.sum() - second.pow(2).sum()).backward(retain_graph=True)
        (first * second.sum()).sum().backward()
    for (name, found), expected in zip(ours.named_parameters(), theirs.parameters()):
        assert distance(found.grad, expected.grad) < 1e-10, name


def test_more_passes_than_are_kept_are_done_again():
    theirs, ours = pair(torch.float64)
    for model in (theirs, ours):
        outputs = [model(scale * pictures(dtype=torch.float64)) for scale in range(1, 8)]
        sum(output.pow(2).sum() for output in outputs).backward()
    for (name, found), expected in zip(ours.named_parameters(), theirs.parameters()):
        assert distance(found.grad, expected.grad) < 1e-9, name


def test_memory_waits_for_the_next_step_and_goes_with_the_module():
    _, ours = pair()
    for _ in range(3):
        loss = ours(pictures()).sum()
        assert len(ours._memory.passes) == 1
        loss.backward()
        assert not ours._memory.passes and ours._memory.waiting is not None
    loss = ours(pictures()).sum()
    del loss
    assert not ours._memory.passes and ours._memory.waiting is not None
    number = ours._own_features.number
    assert number in own._memories
    del ours
    gc.collect()
    assert number not in own._memories


def test_frozen_layers_have_no_gradients():
    theirs, ours = pair()
    for model in (theirs, ours):
        model.features.denseblock1.requires_grad_(False)
        step(model, pictures())
    for (name, found), expected in zip(ours.named_parameters(), theirs.parameters()):
        assert (found.grad is None) == (expected.grad is None), name
    ours.requires_grad_(False)
    assert not ours(pictures()).requires_grad


def test_dropout_drops_by_torch_s_seed():
    _, ours = pair(drop_rate=0.5)
    images, outputs = pictures(), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        outputs.append(ours(images).detach())
    assert torch.equal(outputs[0], outputs[1]) and not torch.equal(outputs[0], outputs[2])
    ours.eval()
    with torch.no_grad():
        assert torch.equal(ours(images), ours(images))


def changed(**how):
    def change(model):
        for name, value in how.items():
            path, _, last = name.rpartition("__")
            setattr(model.get_submodule(f"features.{path.replace('__', '.')}".rstrip(".")), last, value)

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (changed(conv0__stride=(1, 1)), "a changed structure"),
        (changed(transition1__pool=torch.nn.MaxPool2d(2)), "a changed structure"),
        (changed(norm5=torch.nn.Identity()), "a changed structure"),
        (changed(norm5__momentum=0.3), "a changed structure"),
        (lambda model: model.features.norm0.eval(), "batch-norms in another mode"),
        (lambda model: model.features.denseblock1.register_forward_hook(lambda *_: None), "hooks on layers"),
        (lambda model: model.bfloat16(), "pictures of torch.float32"),
    ],
)
def test_what_is_not_torchvision_s_network_is_pytorch_s(change, reason):
    theirs, ours = pair()
    for model in (theirs, ours):
        change(model)
    images = pictures()
    assert own.dispatch(ours, images) == f"PyTorch: {reason}"
    images = images.to(ours.classifier.weight.dtype)
    assert torch.equal(ours(images), theirs(images))


def test_gradients_that_are_pytorch_s():
    theirs, ours = pair()
    found = []
    for model in (theirs, ours):
        images = pictures().requires_grad_()
        model(images).sum().backward()
        model.eval()(images).sum().backward()
        found.append(images.grad)
    assert torch.allclose(*found)
    assert own.dispatch(ours, pictures()) == "PyTorch: gradients in evaluation mode are required"
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert own.dispatch(ours, pictures()) == "PyTorch: autocast"
    assert own.dispatch(ours, pictures().to("meta")) == "PyTorch: not on the CPU"


def test_copies_and_pickles_are_whole():
    _, ours = pair()
    images = pictures()
    step(ours, images)
    ours.eval()
    for again in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        with torch.no_grad():
            assert torch.equal(again(images), ours(images))
        assert again._memory is not ours._memory


def operands(dtype=torch.float64):
    _, ours = pair(dtype, growth_rate=2, block_config=(1, 1), num_init_features=2, bn_size=1)
    images = pictures(3, 32, dtype)
    assert own.dispatch(ours, images) == "densenet"
    known = ours._own_features
    parameters, running = known._tensors(known.parameters), [value.clone() for value in known._tensors(known.running)]
    return ours, images, parameters, running, known._written(), known.number


def test_opcheck():
    _alive, images, parameters, running, config, number = operands()
    torch.library.opcheck(
        torch.ops.densenet.train.default, (images, parameters, running, config, False, 0, number, True)
    )
    torch.library.opcheck(
        torch.ops.densenet.infer.default, (images, [p.detach() for p in parameters], running, config, False, number)
    )
    features, _ = torch.ops.densenet.train(images, parameters, running, config, False, 0, number, False)
    constants = [parameter.detach() for parameter in parameters]
    arguments = (torch.ones_like(features), features.detach(), images, constants, config, False, 0, number)
    torch.library.opcheck(torch.ops.densenet.train_backward.default, arguments)


def test_gradcheck():
    _alive, images, parameters, running, config, number = operands()

    def features(*parameters):
        return torch.ops.densenet.train(images, list(parameters), running, config, False, 0, number, True)[0]

    assert torch.autograd.gradcheck(features, tuple(parameters), eps=1e-6, atol=1e-5)


def test_compiled_it_is_the_same():
    theirs, ours = pair(torch.float64)
    images = pictures(dtype=torch.float64)
    compiled = torch.compile(ours, backend="aot_eager")
    (loss, gradients, _), (expected, wanted, _) = step(compiled, images), step(theirs, images)
    assert distance(loss, expected) < 1e-10
    for name, gradient in wanted.items():
        assert distance(gradients["_orig_mod." + name], gradient) < 1e-10, name
