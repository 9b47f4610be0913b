"""``gw economics``: joules to tokens, the cost of a GPU-hour, its economic life, and a check."""

from pathlib import Path
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, new_group

app = new_group("Follow joules to tokens; cost of a GPU-hour, its life, and a check.")
PlotOption = Annotated[Path | None, typer.Option("--plot", help="Write a picture (PNG) here.")]
SaveOption = Annotated[Path | None, typer.Option("--save", help="Write a .csv or .json here.")]
CostOption = Annotated[
    Path | None, typer.Option("--inputs", help="YAML or JSON of cost inputs; else illustrative.")
]
LlmOption = Annotated[
    str | None, typer.Option("--llm", help="Language model to serve; else llama-3.1-70b.")
]
TrainingOption = Annotated[
    str | None, typer.Option("--training", help="Train this language model, serve none.")
]
PrecisionOption = Annotated[
    str | None, typer.Option("--precision", help="fp4, fp8 or bf16; else fp8, to train bf16.")
]
PromptOption = Annotated[
    float | None, typer.Option("--prompt", help="Mean prompt, tokens; else 1000.")
]
AnswerOption = Annotated[
    float | None, typer.Option("--answer", help="Mean answer, tokens; else 1000.")
]
SpeedOption = Annotated[
    float | None, typer.Option("--speed", help="Tokens/s that a user gets at least.")
]
FleetOption = Annotated[
    str | None, typer.Option("--fleet", help="A demo fleet by name; else the fleet at home.")
]
SiteOption = Annotated[
    str | None, typer.Option("--site", help="One site of the fleet alone, by its id.")
]
PlantOption = Annotated[
    str, typer.Option("--plant", help="grid, gas-combined-cycle, gas-turbine, gas-engine or solar.")
]
PueOption = Annotated[float, typer.Option("--pue", help="Facility power over IT power.")]
DeliveryOption = Annotated[
    float, typer.Option("--delivery", help="Share of plant output that arrives, 0 to 1.")
]
LoadOption = Annotated[
    float | None, typer.Option("--load", help="Power of a node over its maximum, 0 to 1.")
]
UsdOption = Annotated[float, typer.Option("--cost", help="USD for a GPU-hour.")]
PriceOption = Annotated[float, typer.Option("--price", help="USD a GPU-hour to break even at.")]
UtilisationOption = Annotated[
    float | None, typer.Option("--utilisation", help="Share of hours sold, 0 to 1.")
]
TornadoOption = Annotated[
    Path | None, typer.Option("--tornado", help="Write the sensitivity picture (PNG) here.")
]
CapexOption = Annotated[
    Path | None, typer.Option("--capex", help="Write capital for each GW as a picture (PNG).")
]
RentOption = Annotated[
    float | None, typer.Option("--rent", help="Market rent, USD a GPU-hour; else 2.5.")
]
RentSlopeOption = Annotated[
    float | None, typer.Option("--rent-slope", help="Change of its logarithm a year; else -0.2.")
]
RentalOption = Annotated[
    Path | None, typer.Option("--rental", help="Price file to fit rent and its slope from.")
]
CashOption = Annotated[
    float | None, typer.Option("--cash", help="Cash cost, USD a sold GPU-hour; else from --inputs.")
]
ResaleOption = Annotated[float, typer.Option("--resale", help="Price used, USD a GPU.")]
ResaleSlopeOption = Annotated[
    float, typer.Option("--resale-slope", help="Change of its logarithm a year.")
]
ResaleFileOption = Annotated[
    Path | None, typer.Option("--resale-file", help="CSV of gpu, date, usd to fit instead.")
]
GpuOption = Annotated[str | None, typer.Option("--gpu", help="Which gpu of the file(s).")]
ResaleGpuOption = Annotated[
    str | None, typer.Option("--resale-gpu", help="Its name in --resale-file; else --gpu.")
]
HorizonOption = Annotated[int, typer.Option("--horizon", help="Years to look ahead.")]


@app.command()
def chain(
    llm: LlmOption = None,
    training: TrainingOption = None,
    precision: PrecisionOption = None,
    prompt: PromptOption = None,
    answer: AnswerOption = None,
    speed: SpeedOption = None,
    fleet: FleetOption = None,
    site: SiteOption = None,
    plant: PlantOption = "gas-combined-cycle",
    pue: PueOption = 1.25,
    delivery: DeliveryOption = 0.98,
    load: LoadOption = None,
    usd: UsdOption = 2.0,
    plot: PlotOption = None,
    save: SaveOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Follow power from the plant to tokens, with the loss at every stage.

    Example: gw economics chain --llm llama-3.1-70b --plot chain.png
    """
    work = backend.economics
    supply = work.SupplyAsked(
        plant=plant, pue=pue, delivery_efficiency_share=delivery, load_share=load
    )
    if training is not None:
        served = {"--llm": llm, "--prompt": prompt, "--answer": answer, "--speed": speed}
        asked = work.training_request_of(training, precision, served, supply, usd)
    else:
        asked = work.ServingAsked(
            llm=llm or "llama-3.1-70b",
            precision=precision or "fp8",
            input_llm_tokens=1000.0 if prompt is None else prompt,
            output_llm_tokens=1000.0 if answer is None else answer,
            llm_tokens_per_s_min=speed,
        ).request(supply, usd)
    work.chain(work.site_of(fleet), site, asked, plot, save, output)


@app.command("gpu-hour")
def gpu_hour(
    inputs: CostOption = None,
    utilisation: UtilisationOption = None,
    usd: PriceOption = 2.5,
    plot: PlotOption = None,
    tornado: TornadoOption = None,
    capex: CapexOption = None,
    save: SaveOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show the cost of a sold GPU-hour by component, in two views of capital.

    Example: gw economics gpu-hour --utilisation 0.7 --tornado swings.png
    """
    backend.economics.gpu_hour(inputs, utilisation, usd, plot, tornado, capex, save, output)


@app.command()
def life(
    rent: RentOption = None,
    rent_slope: RentSlopeOption = None,
    rental: RentalOption = None,
    gpu: GpuOption = None,
    inputs: CostOption = None,
    cash: CashOption = None,
    resale: ResaleOption = 25_250.0,
    resale_slope: ResaleSlopeOption = -0.25,
    resale_file: ResaleFileOption = None,
    resale_gpu: ResaleGpuOption = None,
    horizon: HorizonOption = 12,
    plot: PlotOption = None,
    save: SaveOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Say how long a GPU earns more than it costs, and when to redeploy, sell or retire it.

    With a rental panel the life is an interval; a stated slope replaces the fitted one.

    Example: gw economics life --rental panel.csv --gpu H100
    """
    backend.economics.life(
        (rent, rent_slope, rental, gpu),
        (resale, resale_slope, resale_file, resale_gpu or gpu),
        inputs, cash, horizon, plot, save, output,
    )  # fmt: skip


@app.command()
def check(
    measurements: Annotated[
        Path | None, typer.Option("--table", help="CSV of measurements; else the shipped ones.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Use the shipped constants, leave no system out.")
    ] = False,
    plot: PlotOption = None,
    save: SaveOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Compare published measurements with what we compute, and list the misses.

    Another table is judged by the shipped constants; the shipped one with each system left out.

    Example: gw economics check
    """
    backend.economics.check(measurements, quick, plot, save, output)
