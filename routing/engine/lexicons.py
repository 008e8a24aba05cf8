"""Published word lists: what a topic or a feature counts. English unless it says otherwise.

They are meant to be read by the people who answer for a policy. Words, not stems: a word counts
when it stands in the text as it stands here.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


LEGAL = _words(
    "abortion accused acquitted affidavit allegation alleged allegedly amendment appeal "
    "appellate arbitration arraigned arrest arson assault attorney bail battery bequest "
    "breach burglary chattel clause compliance congress constitution constitutional "
    "constitutionality contract contractual conveyance convicted conviction copyright counsel "
    "counterclaim court courts covenant crime crimes criminal custody damages deed deeds "
    "defamation defendant defendants defense devise divorce easement embezzlement enforceable "
    "estate estoppel evict eviction evidence executor executory federal felony felonious "
    "fiduciary fraud gdpr grantee grantor guilty hearsay heirs homicide illegal immunity "
    "indictment infringement injunction inheritance intestate judge judgment judicial "
    "jurisdiction jurisprudence jury justice landlord larceny law lawful laws lawsuit lawyer "
    "lease legal legally legislation legislature lessee lessor liability liable libel "
    "litigation malice manslaughter misdemeanor mortgagee motion murder negligence negligent "
    "notary nuisance objection offence offense offeree offeror ordinance parole patent "
    "penalty perjury plaintiff plaintiffs plea pleaded pleadings police probate prosecution "
    "prosecutor rape regulation remainders remedy reversions robbery sentenced sovereign "
    "sovereignty statute statutes statutory subpoena sue sued suing suit tenancy tenant "
    "testator testified testimony tort tortious treaty trespass trial tribunal trustee "
    "unconstitutional unlawful verdict warrant warranty zoning treaties charter"
)
LEGAL_STRONG = _words(
    "affidavit appellate attorney constitutional constitutionality defendant defendants "
    "easement estoppel executory fee-simple felony fiduciary gdpr hearsay homicide indictment "
    "injunction jurisdiction jurisprudence jury larceny law laws lawsuit lawyer litigation "
    "manslaughter misdemeanor murder negligence plaintiff plaintiffs prosecution prosecutor "
    "statute statutory subpoena sue sued testator tort treaty tribunal unconstitutional "
    "unlawful verdict"
)
MEDICAL = _words(
    "abdomen abdominal acute adrenal allergic allergy anaemia anemia anesthesia antibiotic "
    "antibiotics anxiety arm arteries artery arthritis asthma auscultation bacterial benign "
    "biopsy bleeding blood bone brain breast breath breathing cancer carcinoma cardiac "
    "cardiovascular cell chest cholesterol chronic clinic clinical congenital coronary cough "
    "culture cyst deficiency dementia dermatitis diabetes diabetic diagnosed diagnosis "
    "diagnostic diarrhea diastolic disease diseases disorder disorders doctor dosage dose "
    "drug drugs dysfunction dystonia ecg edema embolism emergency epilepsy examination "
    "fatigue fever fracture gastric gland headache headaches healthcare heart hepatic "
    "hepatitis hiv hormone hospital hospitalized hypertension hypoglycemia hypoxia immune "
    "infant infarction infection infections inflammation inflammatory injection insulin "
    "intravenous involuntary ischemia kidney lesion lesions leukemia liver lung lungs lymph "
    "malignant medical medication medications medicine mental metabolic mg migraine mortality "
    "mri murmur muscle muscles nausea neck nerve nerves neurological nurse nursing obese "
    "obesity organ overdose pain palpation pancreas paralysis paracetamol pathogen pathology "
    "patient patients pediatric pelvic penicillin pharmacy physician physicians pneumonia "
    "pregnancy pregnant prescribed prescription prognosis prostate protein psychiatric "
    "pulmonary pulse rash renal respiratory respirations scan seizure seizures serum sore "
    "spinal spleen stenosis stomach stroke surgeon surgery surgical swelling swollen symptom "
    "symptoms syndrome systolic tachycardia temperature therapy thrombosis thyroid tissue "
    "tremor treatment tremors tumor tumour ulcer ultrasound urinary urine uterus vaccine vein "
    "veins virus viral vitamin vomiting wound x-ray"
)
MEDICAL_STRONG = _words(
    "antibiotic antibiotics artery biopsy cancer carcinoma cardiac clinical diagnosis "
    "diabetes dystonia hypertension infarction insulin kidney leukemia liver medication "
    "paralysis paracetamol patient patients physician pneumonia pregnant prescription seizure "
    "seizures symptom symptoms syndrome tumor tumour"
)
FINANCE = _words(
    "amortization annuity asset assets auditor bond bonds capital cashflow collateral "
    "commodity compound credit creditor currency deficit depreciation derivative derivatives "
    "dividend earnings ebitda equity exchange fiscal fund funds futures gdp hedge income "
    "inflation insurance interest invest investing investment investor ipo leverage liquidity "
    "loan loans margin mortgage pension portfolio premium profit revenue securities share "
    "shareholder shares solvency stock stocks tax taxable taxes trader trading treasury "
    "valuation yield"
)
ACCOUNT = _words(
    "account accounts activate activated activation address app atm balance bank banking "
    "beneficiary bill billing bounced cancel cancelled card cards cash charge charged charges "
    "chargeback checkout code contactless contract crypto declined delivery deposit deposits "
    "debit disposable email fee fees fiat frozen id identity invoice invoices limit limits "
    "locked login mastercard order ordered package parcel passcode password pay paying "
    "payment payments paypal pending pin plan purchase receipt recipient refund refunded "
    "refunds register renew renewal reset return reverted salary sign-in signup statement "
    "stolen subscription support swallowed ticket top top-up topped topping topup tracking "
    "transaction transactions transfer transferred transfers username verification verify "
    "virtual visa wallet withdraw withdrawal withdrawals withdrew"
)
TECHNICAL = _words(
    "algorithm api apis async backend binary browser bug bytecode cache cli cluster compile "
    "compiler concurrency container cpu css database deadlock debug debugging deploy "
    "deployment dns docker encryption endpoint exception firewall framework frontend git gpu "
    "hash html http https ide index install javascript json kernel kubernetes latency library "
    "linux localhost log logs memory microservice mutex network null oauth package pandas "
    "pipeline pointer postgres protocol proxy python query queue recursion refactor regex "
    "repository router rust schema script sdk server servers shell socket software sql ssl "
    "stack stacktrace stderr stdout string syntax terminal thread threads timeout tls token "
    "traceback typescript ubuntu url variable vm vpn webhook xml yaml"
)
MATH = _words(
    "algebra altogether angle area arithmetic average calculate circle circumference combined "
    "compute cube decimal derivative diameter difference digit divided divisible double "
    "doubled equation equations exponent factor fraction function geometry half hypotenuse "
    "inequality integer integers integral kilometers length logarithm matrix maximum mean "
    "median miles minimum multiple multiplied multiply number numbers perimeter polynomial "
    "prime probability product quarter quotient radius ratio rectangle remaining remainder "
    "root solve square sum theorem thrice times total triangle triple twice vector volume "
    "width"
)

NEGATIONS = _words(
    "ain't aren't can't cannot couldn't didn't doesn't don't except hadn't hasn't haven't "
    "isn't least neither never no nobody none nor not nothing shouldn't wasn't weren't "
    "without won't wouldn't"
)
CONDITIONALS = _words(
    "although assume assuming before after if otherwise provided suppose unless until whether while"
)
CONNECTIVES = _words(
    "accordingly because consequently furthermore hence however moreover nevertheless since "
    "therefore though thus whereas"
)
QUANTITIES = _words(
    "all any both dozen each every few half many more most much per quarter several third "
    "three two four five six seven eight nine ten eleven twelve twenty thirty forty fifty "
    "hundred thousand million twice times double triple"
)
ARITHMETIC = _words(
    "add added altogether average combined cost costs difference divided dollars each earns "
    "equal equally fewer half hours how left less longer many miles minutes more much per "
    "percent price remaining rest sells share spend spends spent sum times total twice weeks "
    "week days"
)
STEPS = _words("if then when after before until first next finally last second")
NUMBER_WORDS = _words(
    "one two three four five six seven eight nine ten twelve twenty half third quarter dozen "
    "twice double triple thrice once"
)
FRACTIONS = _words("half third quarter fourth fifth thirds quarters")
NARRATIVE = _words(
    "he she his her him they them their himself herself man woman boy girl son daughter wife "
    "husband brother sister friend friends"
)
FIRST_PERSON = _words("i i'm i've i'd i'll me my mine myself we our us")
SECOND_PERSON = _words("you your yours you're")
QUESTION_WORDS = _words(
    "what when where which who whom whose why how is are was were do does did can could will "
    "would should may am has have"
)
SERVICE_VERBS = _words(
    "activate cancel change check close delete get help open order pay receive replace reset "
    "return send set show top track transfer unblock update use verify withdraw"
)
COMPOSE = _words(
    "compose create design draft essay generate paragraph poem proposal report rewrite story "
    "translate write"
)
EXPLAIN = _words(
    "analyse analyze compare contrast critique describe derive discuss elaborate evaluate "
    "explain justify outline prove reason summarise summarize"
)
SUPERLATIVES = _words("best correct following likely main most primary strongest true worst")

# The commonest words per language, for telling languages apart. Letters beyond a-z are kept.
STOP_WORDS: dict[str, frozenset[str]] = {
    "en": _words(
        "the be to of and a in that have it for not on with as you do at this but by from or an "
        "will my one all would there what so up out if about who get which when can is are was i "
        "how does did why has your me"
    ),
    "de": _words(
        "der die das und in zu den nicht von sie ist des sich mit dem dass er es ein ich auf so "
        "eine auch als an nach wie im für man aber aus durch wenn nur war noch werden bei hat wir "
        "was wird sein einen welche sind oder zur um haben einer mir über ihm diese kann wo meine "
        "mein warum bitte wann"
    ),
    "fr": _words(
        "le la les de des un une et est en que qui dans pour pas au sur ce il elle je vous nous "
        "ne se avec par plus mais ou comme mon ma mes son sa être avoir fait cette tout aux du "
        "sont ai quel quelle comment pourquoi puis bonjour votre où"
    ),
    "es": _words(
        "el la los las de que y en un una ser se no haber por con su para como estar tener le lo "
        "todo pero más hacer o este ese si mi ya ver porque cuando muy sin sobre también me hay "
        "del al es está qué cómo puedo mis por"
    ),
    "it": _words(
        "il lo la i gli le di che e è un una in per non con si da come ma se ho sono mi alla del "
        "della dei delle nel nella al ai più anche io questo questa perché quando dove mio mia "
        "cosa posso quanto"
    ),
    "pt": _words(
        "o a os as de que e em um uma para com não por mais como mas foi ao ele das tem à seu sua "
        "ou ser quando muito há nos já está eu também só pelo pela até isso ela entre era depois "
        "sem mesmo meu minha você qual porque posso do da no na"
    ),
    "nl": _words(
        "de het een en van ik te dat die in is niet zijn op aan met als voor er maar om hem dan "
        "zou of wat mijn men dit zo door over ze zich bij ook tot je mij uit der naar heb hoe "
        "heeft hebben deze waarom kan wordt mag"
    ),
    "pl": _words(
        "i w nie na że z się do to jest co jak o ale tak po mi za od czy dla ten tego już tylko "
        "przez go być ma sobie jestem moja mój mam kiedy gdzie dlaczego proszę jego są przy może "
        "które który jako więc"
    ),
}
