# Rows of scripts/data/hospital_pancreatitis as three hospitals export them: with separators, decimals, encodings, words
# for missing cells, names of columns and codes of their own. In every 25th row the risk score was not recorded.
# With half=1 the first, third, fifth .. patient, with half=2 the second, fourth, sixth ..
#
# To be run by scripts/demo/export.sh.
#
# hamburg: a spreadsheet in German, windows-1252. lyon: tabs and decimal commas in French, UTF-8 with a mark at its
# beginning. leeds: quotes and NA, as R writes them.

BEGIN {
    FS = ","
    count = split("age risk gender sod pep recpanc psphinc difcan rx status outcome", columns, " ")
    if (hospital == "hamburg") {
        separator = ";"; missing = "k.A."; comma = 1
        printf "sep=;\r\n"
        header = "Alter (Jahre);Risikopunkte;Geschlecht;SOD;PEP fr\374her;Pankreatitis rezidivierend;Sphinkterotomie;Kan\374lierung schwierig;Behandlung;Aufnahme;PEP"
        words["1_female"] = "weiblich"; words["2_male"] = "m\344nnlich"
        words["0_no"] = "nein"; words["1_yes"] = "ja"
        words["0_placebo"] = "Placebo"; words["1_indomethacin"] = "Indometacin"
        words["0_inpatient"] = "station\344r"; words["1_outpatient"] = "ambulant"
        end = "\r\n"
    } else if (hospital == "lyon") {
        separator = "\t"; missing = "NC"; comma = 1
        printf "\357\273\277"
        header = "\303\242ge\trisque\tsexe\tsod\tant\303\251c\303\251dent\tr\303\251cidive\tsphinct\303\251rotomie\tdifficile\ttraitement\tadmission\tpancr\303\251atite"
        words["1_female"] = "femme"; words["2_male"] = "homme"
        words["0_no"] = "non"; words["1_yes"] = "oui"
        words["0_placebo"] = "placebo"; words["1_indomethacin"] = "indom\303\251tacine"
        words["0_inpatient"] = "hospitalis\303\251"; words["1_outpatient"] = "ambulatoire"
        end = "\n"
    } else {
        separator = ","; missing = "NA"; quote = "\""
        header = "\"age\",\"risk\",\"gender\",\"sod\",\"pep\",\"recpanc\",\"psphinc\",\"difcan\",\"rx\",\"status\",\"outcome\""
        words["1_female"] = "F"; words["2_male"] = "M"
        words["0_no"] = "N"; words["1_yes"] = "Y"
        words["0_placebo"] = "A"; words["1_indomethacin"] = "B"
        words["0_inpatient"] = "in"; words["1_outpatient"] = "out"
        end = "\n"
    }
    printf "%s%s", header, end
}

{ sub(/\r$/, "") }

NR == 1 {
    for (i = 1; i <= NF; i++) place[$i] = i
    next
}

half && NR % 2 != half - 1 { next }

{
    line = ""
    for (i = 1; i <= count; i++) {
        cell = $(place[columns[i]])
        if (columns[i] == "age" || columns[i] == "risk") {
            if (comma) sub(/\./, ",", cell)
            if (columns[i] == "risk" && NR % 25 == 0) cell = missing
        } else {
            cell = quote words[cell] quote
        }
        line = line (i > 1 ? separator : "") cell
    }
    printf "%s%s", line, end
}
