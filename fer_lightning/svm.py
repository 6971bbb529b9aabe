"""A support vector machine on the deep features of a finished run (S0's VGG-Face + SVM, S0-41).

    python -m fer_lightning.svm RUN [--C 0.01 0.1 1] [--kernel linear|rbf]

The features are the backbone's, without augmentation, each scaled to mean 0 and deviation 1 over the training part. The validation part
chooses C; the test part is scored once. Writes RUN/svm.json. Needs `pip install fer_lightning[svm]`.
"""

from pathlib import Path

from fer_lightning.process.command_line import command

# The time of an RBF machine grows with the square of the number of images, that of a linear one with the number.
KERNELS = ("linear", "rbf")


def add_arguments(parser):
    parser.add_argument("run", type=Path, help="a finished run folder")
    parser.add_argument("--C", type=float, nargs="+", default=[0.01, 0.1, 1.0], help="costs, from which the validation part chooses")
    parser.add_argument("--kernel", choices=KERNELS, default="linear")


def run(arguments):
    from fer_lightning.process.errors import UserError

    try:
        import sklearn  # noqa: F401  (before the features are computed)
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name} is not installed: pip install fer_lightning[svm]") from error

    from fer_lightning.training.svm_on_features import evaluate_svm

    result = evaluate_svm(arguments.run, arguments.C, arguments.kernel)
    test = result["test"]
    clean = f"clean {test['accuracy_clean']:.4f}" if test["n_clean"] else "no clean image"
    print(f"{result['kernel']} SVM, C {result['C']}: test accuracy {test['accuracy']:.4f}, {clean}")


main = command("svm", __doc__, add_arguments, run)

if __name__ == "__main__":
    main()
