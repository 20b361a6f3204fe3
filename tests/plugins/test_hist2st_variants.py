"""The variants of Hist2ST beyond their networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spared_bench.errors import UsageError
from spared_bench.interfaces import Budget, Context
from spared_bench.models import TimmEncoder
from spared_bench.models.seeded import seeded
from spared_bench.specs import DatasetSpec, SlideInfo
from spared_bench.testing import with_noise
from spared_bench_plugins.networks.hist2st import hist2st_loss
from spared_bench_plugins.predictors.hist2st_encoder import Hist2STEncoder
from spared_bench_plugins.predictors.hist2st_gat import Hist2STGAT
from spared_bench_plugins.predictors.hist2st_regclass import Hist2STRegclass
from tests.plugins.test_graph_predictors import around

CONTEXT = Context(seed=1, budget=Budget(iterations=4, batch_size=16, validate_every=4))


def tiny(method, **settings):
    return method(**(method.tiny | settings))


def fit(method, slides, iterations=4, validate_every=4, **context):
    budget = Budget(iterations, 16, validate_every)
    method.fit(slides.train, slides.val, replace(CONTEXT, budget=budget, **context))
    return method


def mean_correlation(truth, prediction):
    pairs = zip(truth.T, prediction.T, strict=True)
    return np.mean([np.corrcoef(t, p)[0, 1] for t, p in pairs])


@pytest.mark.parametrize(
    "method",
    [
        tiny(Hist2STEncoder, lr=1e-2, dropout=0.0),
        tiny(Hist2STGAT, lr=1e-2, dropout=0.0),
        tiny(Hist2STGAT, lr=3e-3, shared=False, self_loops=True),
    ],
    ids=["encoder", "gat", "gat-corrected"],
)
def test_it_learns_what_the_neighbours_of_a_spot_foretell(method, tiny_slides):
    parts = [around(each) for each in tiny_slides]
    mean = parts[0].target.mean(axis=0)
    train, val, test = (each.with_target(each.target - mean) for each in parts)
    fit(method, tiny_slides._replace(train=train, val=val), 100, 25)
    prediction = method.predict(tiny_slides.test.without_expression())
    assert mean_correlation(test.target, prediction) > 0.4


@pytest.mark.parametrize("variant", [Hist2STEncoder, Hist2STGAT], ids=lambda each: each.name)
def test_windows_and_slides_predicted_together_are_predicted_as_alone(variant, tiny_slides):
    method = fit(tiny(variant), tiny_slides)
    bare = tiny_slides.train.without_expression()
    mixed = np.random.default_rng(0).permutation(80)
    alone = np.concatenate([method.predict(slide) for _, slide in bare.each()])
    np.testing.assert_allclose(method.predict(bare.subset(mixed)), alone[mixed], atol=1e-5)
    cut = replace(method, max_spots=18, margin=1.0)
    cut.network_, cut.gene_names_, cut._device = method.network_, method.gene_names_, "cpu"
    assert len(cut.units(bare, "cpu", False).windows) > 2
    assert np.isfinite(cut.predict(bare)).all()


def test_a_projection_makes_networks_of_one_width_whatever_the_encoder():
    for encoder in ("resnet50.tv_in1k", "swin_s"):
        with torch.device("meta"):
            network = Hist2STEncoder(encoder=encoder, project=1024).build(8)
        assert network.jump.hidden_size == 1024
        assert network.first.head[0].in_features == TimmEncoder(encoder).width


def test_the_corrected_gat_has_its_own_layers_and_edges_to_itself(tiny_slides):
    released, corrected = tiny(Hist2STGAT), tiny(Hist2STGAT, shared=False, self_loops=True)
    assert [len(each.build(3).attention) for each in (released, corrected)] == [1, 4]
    for method, itself in ((released, 0), (corrected, 40)):
        (neighbour, spot) = (
            method.units(tiny_slides.test, "cpu", False).batch(torch.tensor([0])).edges
        )
        assert int((neighbour == spot).sum()) == itself
    assert Hist2STGAT.configurations["corrected"] == {"shared": False, "self_loops": True}


def test_only_with_an_edge_to_itself_does_a_spot_far_from_others_see_its_patch(tiny_slides):
    bare = tiny_slides.test.without_expression()
    bare.adata.obs.loc[bare.adata.obs_names[7], ["array_row", "array_col"]] = 15
    methods = [tiny(Hist2STGAT, self_loops=loops) for loops in (False, True)]
    networks = [method.build(6).eval() for method in methods]
    networks[1].load_state_dict(networks[0].state_dict())
    with torch.no_grad():
        for method, network in zip(methods, networks, strict=True):
            batch = method.units(bare, "cpu", False).batch(torch.tensor([0]))
            assert bool((batch.edges[1] == 7).any()) == method.self_loops
            p = network.attention[0].project(network.first(batch.images)).detach()
            found = network.attention[0](network.first(batch.images), batch.edges)[7]
            torch.testing.assert_close(found, p[7] if method.self_loops else p.mean(dim=0))


def with_views():
    """Return a method of small patches, which its encoder sees as they are."""
    method = tiny(Hist2STGAT, encoder="test_resnet", weights="random", n_views=2)
    method.framing = (0, 0)
    return method


def views_of(method, slides):
    units = method.units(slides, "cpu", True)
    return units.batch(torch.tensor([0])).view


def test_views_are_augmented_patches_through_the_same_encoder(tiny_slides, monkeypatch):
    method = with_views()
    view = views_of(method, tiny_slides.test)
    with seeded(0):
        drawn, again = view(), view()
    assert drawn.shape == (40, method.frozen.width)
    assert not torch.allclose(drawn, again)
    where = "spared_bench_plugins.predictors.hist2st_gat.distort"
    monkeypatch.setattr(where, lambda images, *_: images)
    expected = tiny_slides.test.features(method.frozen)
    np.testing.assert_allclose(view(), expected, rtol=1e-4, atol=1e-5)


def test_the_encoder_of_gat_sees_the_middle_224_of_256_pixels(tiny_slides):
    method = Hist2STGAT(weights="random", encoder="test_resnet")
    images = torch.randn(2, 3, 64, 64)
    framed = method.frozen.framed(images)
    assert framed.shape == (2, 3, 224, 224)
    large = torch.nn.functional.interpolate(images, (256, 256), mode="bilinear")
    torch.testing.assert_close(framed, large[..., 16:240, 16:240], rtol=1e-3, atol=1e-3)


def test_views_of_colours_would_be_the_patch_itself_and_are_refused():
    with pytest.raises(UsageError, match=r"n_views=5 with the encoder 'color'"):
        Hist2STGAT(encoder="color").build(3)


def test_passes_that_are_made_again_have_the_gradient_of_those_that_are_kept(tiny_slides):
    method = with_views()
    network = method.build(6).train()
    batch = method.units(tiny_slides.train, "cpu", True).batch(torch.tensor([0]))
    gradients = []
    for again in (True, False):
        network.zero_grad()
        with seeded(0):
            if again:
                loss = method.loss(network, batch)
            else:
                h = network.embed(batch.images, batch)
                views = [network.embed(batch.view(), batch) for _ in range(2)]
                loss = hist2st_loss(network, h, views, batch)
        loss.backward()
        gradients.append(
            torch.cat(
                [each.grad.flatten() for each in network.parameters() if each.grad is not None]
            )
        )
    torch.testing.assert_close(gradients[0], gradients[1])
    assert gradients[0].abs().max() > 0


def test_memory_of_a_gat_layer_grows_with_spots_and_not_with_their_square():
    layer = Hist2STGAT(encoder="color", n_views=0, width=32).build(3).attention[0]
    kept = []
    for n in (500, 2000):
        ring = torch.arange(n)
        edges = torch.stack([torch.cat([ring, ring]), torch.cat([ring.roll(1), ring.roll(-1)])])
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, sizes=sizes: sizes.append(x.numel()) or x, lambda x: x
        ):
            layer(torch.randn(n, 32, requires_grad=True), edges)
        kept.append(sum(sizes))
    assert kept[1] < 4.5 * kept[0]


def labelled(slides, **settings):
    return fit(tiny(Hist2STRegclass, **settings), slides)


def test_regclass_skips_a_dataset_without_classes_and_says_why(tiny_slides):
    slides = (SlideInfo("a"), SlideInfo("b"))
    spec = DatasetSpec("tiny", "a:b", slides=slides, split={"train": ("a",), "test": ("b",)})
    assert "tiny has no tissue classes" in tiny(Hist2STRegclass).skip(spec)
    assert tiny(Hist2STRegclass).skip(replace(spec, classes=("tumour", "stroma"))) is None
    bare = tiny_slides.train.without_expression()
    bare.adata.uns["spared_bench"]["classes"] = []
    with pytest.raises(UsageError, match="this dataset declares none"):
        tiny(Hist2STRegclass).fit(bare, tiny_slides.val, CONTEXT)


def test_regclass_tells_the_classes_of_the_spots_it_learnt_from(tiny_slides):
    parts = []
    for slides in tiny_slides[:2]:
        value = around(slides).target[:, 0]  # what the network's graph layers can see
        adata = slides.adata.copy()
        named = np.where(value > np.median(value), "bright", "dark")
        adata.obs["label"] = named.astype(object)
        parts.append(
            replace(slides, adata=adata).with_target(slides.target - slides.target.mean(axis=0))
        )
    train, val = parts
    method = tiny(Hist2STRegclass, gamma=10.0, n_views=0, lr=3e-3, dropout=0.0, softmax=False)
    fit(method, tiny_slides._replace(train=train, val=val), 150, 150)
    found = method.predict(train.without_expression())
    assert np.mean(np.array(train.classes)[found.classes.argmax(axis=1)] == train.labels) > 0.7
    np.testing.assert_allclose(found.classes.sum(axis=1), 1, rtol=1e-5)


def test_regclass_of_three_classes_survives_being_saved(tiny_slides, tmp_path):
    uns = {"spared_bench": tiny_slides.train.adata.uns["spared_bench"] | {"classes": [*"abc"]}}
    parts = [replace(each, adata=each.adata.copy()) for each in tiny_slides]
    for part in parts:
        part.adata.uns, part.adata.obs["label"] = uns, np.resize(["a", "c", ""], len(part))
    method = tiny(Hist2STRegclass, n_views=0)
    method.fit(parts[0], parts[1], CONTEXT)
    method.save(tmp_path)
    other = tiny(Hist2STRegclass, n_views=0)
    other.load(tmp_path)
    bare = parts[2].without_expression()
    assert other.predict(bare).classes.shape == (40, 3)
    np.testing.assert_array_equal(other.predict(bare).classes, method.predict(bare).classes)


def test_regclass_in_three_stages_learns_one_after_the_other(tiny_slides):
    curves = []
    method = tiny(Hist2STRegclass, three_stages=True)
    report = lambda step, values: curves.append((step, next(iter(values))))  # noqa: E731
    fit(method, tiny_slides, 8, 2, report=report)
    assert curves == [
        (2, "expression_train_mse_zinb_distillation_and_classes"),
        (4, "classes_train_cross_entropy"),
        (6, "classes_train_cross_entropy"),
        (8, "train_mse_zinb_distillation_and_classes"),
    ]


def test_the_stage_of_expression_alone_moves_no_weight_of_the_classifier(tiny_slides, monkeypatch):
    where = "spared_bench_plugins.predictors.hist2st_regclass._STAGES"
    moved = {}
    for stage in ("expression", "classes", "both"):
        monkeypatch.setattr(where, {stage: 1.0})
        method = tiny(Hist2STRegclass, three_stages=True)
        begun = {}
        method.start = lambda network, train, begun=begun: begun.update(
            {name: value.clone() for name, value in network.state_dict().items()}
        )
        fit(method, tiny_slides)
        after = method.network_.state_dict()
        moved[stage] = {
            part: any(
                not torch.equal(value, begun[name])
                for name, value in after.items()
                if name.startswith(part)
            )
            for part in ("classifier", "head", "maps")
        }
    assert moved == {
        "expression": {"classifier": False, "head": True, "maps": True},
        "classes": {"classifier": True, "head": False, "maps": True},
        "both": {"classifier": True, "head": True, "maps": True},
    }


def test_labels_of_validation_slides_move_no_weight(tiny_slides):
    noisy = tiny_slides._replace(val=with_noise(tiny_slides.val))
    bare = tiny_slides.test.without_expression()
    found = [labelled(each, gamma=1.0).predict(bare).classes for each in (tiny_slides, noisy)]
    np.testing.assert_array_equal(*found)


def test_gamma_and_class_weights_count_in_the_loss(tiny_slides):
    methods = [
        labelled(tiny_slides, gamma=gamma, class_weights=weights, n_views=0)
        for gamma, weights in ((0.0, {}), (2.0, {}), (2.0, {"bright": 5.0}))
    ]
    network = methods[0].network_
    batch = methods[0].units(tiny_slides.train, "cpu", True).batch(torch.tensor([0]))
    with torch.no_grad():
        plain, more, weighted = (float(each.loss(network, batch)) for each in methods)
        logits = network.classifier(network.embed(batch.images, batch))
    told = batch.classes >= 0
    of_spots = -logits.log_softmax(dim=1)[told, batch.classes[told]].numpy()
    bright = batch.classes[told].numpy() == 0
    assert tiny_slides.train.classes[0] == "bright"
    assert more - plain == pytest.approx(2 * of_spots.mean(), rel=1e-3)
    weights = np.where(bright, 5.0, 1.0)
    assert weighted - plain == pytest.approx(2 * np.average(of_spots, weights=weights), rel=1e-3)
    with pytest.raises(UsageError, match=r"class_weights names 'brigt'.*Did you mean 'bright'"):
        labelled(tiny_slides, class_weights={"brigt": 1.0})
